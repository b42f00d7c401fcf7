/* units.h - the small notations that values are written in, beyond those of conf.h. */
#pragma once
#include "config/conf.h"

/* An RFC 9110 token, at most 256 bytes: names of cookies and header fields. */
bool unit_token(struct str s);
/* A host name (RFC 1123 letters, digits, '-', also '_'), at most 253 bytes; no address. */
bool unit_hostname(struct str s);
/* An IPv4 or IPv6 address, without brackets. */
bool unit_ip(struct str s);
/* An address of this machine only: 127.0.0.0/8 or ::1, without brackets. */
bool unit_loopback(struct str s);
/* An endpoint: "host:port" as conf_address, port not 0; or "unix:/path/of.sock", which has the
 * path as its host and port 0. A owns HOST. */
bool unit_endpoint(struct arena *a, struct str s, struct str *host, uint16_t *port);
/* A path as it stands in a request: begins with '/', visible ASCII, no '#'; '?' if QUERY. */
bool unit_path(struct str s, bool query);
/* Length of the UTF-8 sequence (RFC 3629) at the front of S, which is not empty; 0: none. */
size_t unit_utf8_length(struct str s);
/* Well-formed UTF-8 without control characters. */
bool unit_text(struct str s);
/* "512MiB", "64KiB", "1GiB", "4096B" -> bytes. "5" without a unit is refused. */
bool unit_size(struct str s, uint64_t *bytes);
/* bytes -> the largest unit that is exact, in A: 65536 -> "64KiB", 0 -> "0B". */
struct str unit_size_text(struct arena *a, uint64_t bytes);
/* Octal permission bits, "0660" or "660". */
bool unit_mode(struct str s, uint32_t *mode);
/* Per cent to hundredths of one: 33.33 -> 3333. False: out of 0..100, or finer than 0.01. */
bool unit_percent(double percent, uint32_t *hundredths);
/* "33.33", "5", "0.5". Into A. */
struct str unit_percent_text(struct arena *a, uint32_t hundredths);
