/* libraries.h - the libraries that only this floor may include. */
#pragma once

const char *library_curl(void);    /* "7.88.1" */
const char *library_cares(void);   /* "1.18.1" */
const char *library_hiredis(void); /* "0.14.1" */
