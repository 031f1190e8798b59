/* SPDX-License-Identifier: MIT */
/* The end of every unit test's main(): runs its suite in the way that CK_ environment variables say. */
#ifndef CONCD_TEST_RUN_SUITE_H
#define CONCD_TEST_RUN_SUITE_H

#include <check.h>
#include <stdlib.h>

/* Takes the suite over; returns what main() is to return. */
static inline int
run_suite(Suite *suite)
{
        SRunner *runner = srunner_create(suite);
        int failed;

        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
