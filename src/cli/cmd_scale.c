/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_scale.c - enxame scale: the law of loss and compute. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

typedef struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
} verb;

static const verb verbs[] = {
    { "fit", cmd_scale_fit, "the law's parameters, with standard errors" },
    { "forecast", cmd_scale_forecast, "the next rungs, and the best size for a budget" },
    { "odds", cmd_scale_odds, "does the law hold, and what would change the answer" },
};

enum { VERB_COUNT = sizeof verbs / sizeof *verbs };

static void print_verbs(FILE *out)
{
    fprintf(out, "Usage: enxame scale WHAT RUNS.csv [options]\n\n");
    for (int i = 0; i < VERB_COUNT; i++) fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].about);
    fprintf(out, "\nA run is a line with parameters N, training tokens D, compute C (two of the "
                 "three will do) and loss.\n"
                 "\nExample: enxame scale odds runs.csv\n");
}

int cmd_scale(int argc, char **argv)
{
    for (int i = 0; argc > 1 && i < VERB_COUNT; i++)
        if (strcmp(argv[1], verbs[i].name) == 0) return verbs[i].run(argc - 1, argv + 1);
    const bool is_help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (!is_help) fprintf(stderr, "enxame scale: say what to do\n");
    print_verbs(is_help ? stdout : stderr);
    return is_help ? 0 : enx_status_exit_code(ENX_INVALID);
}
