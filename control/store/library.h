/* library.h - the library that only this floor may include. */
#pragma once

const char *library_sqlite(void); /* "3.40.1" */
