/*
 * log.h - what the program says about itself, on stderr, one line a fact.
 *
 * "2026-11-22T21:00:00.123Z info worker/1: message". Access logs are elsewhere. Levels:
 * error: an operator must act; warn: may have to; info: life of processes; debug: -v.
 */
#pragma once
#include "proxy/base/check.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_init(const char *who, enum log_level most); /* WHO is borrowed: "supervisor" */
void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
