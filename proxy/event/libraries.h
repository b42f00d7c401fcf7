/* libraries.h - the libraries that only this floor may include. */
#pragma once

const char *library_libevent(void); /* "2.1.12-stable" */
const char *library_openssl(void);  /* "OpenSSL 3.0.15 3 Sep 2024" */
