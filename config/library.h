/* library.h - the library that only this floor and control/ may include. */
#pragma once

const char *library_jansson(void); /* "2.14" */
