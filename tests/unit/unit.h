/*
 * unit.h - how a test program ends: its suite is run, and its failures are the exit status.
 *
 * How much is printed follows CK_VERBOSITY.
 */
#pragma once
#include <check.h>
#include <stdlib.h>

/* Run S, which is freed. EXIT_SUCCESS if nothing failed. */
static inline int unit_run(Suite *s)
{
    SRunner *r = srunner_create(s);
    int failed;

    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
