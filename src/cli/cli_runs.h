/* SPDX-License-Identifier: Apache-2.0 */
/* cli_runs.h - what the `scale` commands share: reading runs, ladders, what was left out.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_RUNS_H
#define ENX_CLI_CLI_RUNS_H

#include "cli/cli.h"
#include "scale/form.h"
#include "scale/rungs.h"
#include "scale/runs.h"

enum { CLI_NOTES_MAX = 12, CLI_NOTE_BYTES_MAX = 320 };

typedef struct cli_runs {
    const char *map, *where; /* options */
    uint64_t    trim_worst;
    bool        has_duplicates;
    const char *path;
    uint64_t    hash; /* FNV-1a of the file's bytes */
    enx_runs   *runs;
    char        notes[CLI_NOTES_MAX][CLI_NOTE_BYTES_MAX];
    uint32_t    note_count;
} cli_runs;

/* clang-format off */
/* The first options of a command's list that read into `r`. */
#define CLI_RUNS_OPTIONS(r)                                             \
    { "map", '\0', CLI_TEXT, (void *)&(r).map, "LIST",                  \
      "which column is what, as N=..,D=..,C=..,loss=.." },              \
    { "where", '\0', CLI_TEXT, (void *)&(r).where, "LIST",              \
      "only rows in which COLUMN=VALUE,.." },                           \
    { "trim-worst", '\0', CLI_UINT, &(r).trim_worst, "N",               \
      "leave out the N runs of largest loss" },                         \
    { "drop-duplicates", '\0', CLI_FLAG, &(r).has_duplicates, NULL,     \
      "count a run that is there twice once" }
/* clang-format on */

/* Read the file; release by cli_runs_close, in every case. */
ENX_MUST_USE enx_status cli_runs_open(cli_runs *r, const char *path, enx_report *report);
void                    cli_runs_close(cli_runs *r);

/* The file's name without its folder. */
const char *cli_runs_name(const cli_runs *r);

/* Something that a reader of the result should know; beyond CLI_NOTES_MAX it is dropped. */
void cli_runs_note(cli_runs *r, const char *format, ...) ENX_PRINTF(2, 3);

/* Rungs of a ladder, with notes on what may bend it: diverged runs, learning rates, epochs. */
ENX_MUST_USE enx_status cli_runs_ladder(cli_runs *r, enx_rungs *rungs, enx_report *report);

/* Runs as points; owned (enx_mem_free).  ENX_INVALID: N and D are needed and not known. */
ENX_MUST_USE enx_status cli_runs_points(const cli_runs *r, bool has_sizes, enx_point **points,
                                        enx_report *report);

void    cli_runs_print_notes(const cli_runs *r);
json_t *cli_runs_json_notes(const cli_runs *r);
/* file, hash, rows, runs, filtered, diverged, trimmed, duplicates, loss_unit, columns */
json_t *cli_runs_json_data(const cli_runs *r);

/* A number, or null where it is none. */
json_t *cli_json_number(double value);

#endif /* ENX_CLI_CLI_RUNS_H */
