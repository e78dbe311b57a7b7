/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_scale.c - enxame scale: the law of loss and compute. */
#include "cli/cli.h"
#include "cli/cli_verbs.h"

int cmd_scale(int argc, char **argv)
{
    static const cli_verb items[] = {
        { "fit", cmd_scale_fit, "the law's parameters, with standard errors" },
        { "forecast", cmd_scale_forecast, "the next rungs, and the best size for a budget" },
        { "odds", cmd_scale_odds, "does the law hold, and what would change the answer" },
    };
    static const cli_verbs verbs = {
        "scale",
        "WHAT RUNS.csv [options]",
        "A run is a line with parameters N, training tokens D, compute C (two of the three will "
        "do) "
        "and loss.",
        "enxame scale odds runs.csv",
        items,
        sizeof items / sizeof *items,
    };
    return cli_run_verb(&verbs, argc, argv);
}
