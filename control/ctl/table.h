/*
 * table.h - aligned columns of text.
 *
 * Rows are collected, widths measured (UTF-8 characters), then all is printed; two blanks
 * between columns, no blanks at the end of a line.
 */
#pragma once
#include "proxy/base/check.h"

#include <stdio.h>

#define TABLE_COLUMNS 12

struct table;
/* HEADS: "NAME|WEIGHT>|HEALTH"; ">" at the end of one: aligned to the right. */
struct table *table_new(const char *heads);
/* The next cell of the current row; after the last column a new row begins. */
void table_cell(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void table_print(struct table *t, FILE *out); /* and free it */
size_t text_width(const char *utf8);
