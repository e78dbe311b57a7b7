/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - the one place that aborts. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void enx_check_failed(const char *text, const char *file, int line)
{
    fprintf(stderr, "enxame: broken promise: %s (%s:%d)\n", text, file, line);
    abort();
}
