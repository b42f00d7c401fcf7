/* h2_version.h - the library that only h2_session.c may include. */
#pragma once

const char *h2_library(void); /* "1.52.0" */
