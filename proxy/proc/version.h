/* version.h - what sluice -V prints. */
#pragma once
#include <stdio.h>

/* Versions of sluice and its libraries, and how it was built, a line each. */
void version_print(FILE *out);
