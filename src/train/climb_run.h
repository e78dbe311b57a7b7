/* SPDX-License-Identifier: Apache-2.0 */
/* climb_run.h - trains a ladder, run after run, into one folder.
 *
 *     runs.csv         a line for each finished run, in the order of the plan; replaced as a whole
 *     vocab.gguf       the tokenizer that all share
 *     w064.gguf        the model of a rung: first seed, most tokens a parameter
 *     *.trunk, *.run   checkpoints of what is under way
 *
 * Whatever ends it, the same call goes on: what is in runs.csv is done, what is not goes on from
 * its checkpoint, and the numbers are those of a climb that was never stopped.
 *
 * Layer: train.  Thread-safety: one owner thread; it brings a pool.
 */
#ifndef ENX_TRAIN_CLIMB_RUN_H
#define ENX_TRAIN_CLIMB_RUN_H

#include "base/status.h"
#include "plat/pool.h"
#include "train/climb.h"
#include "train/train_loop.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct enx_climb_progress {
    const char        *run; /* its name in runs.csv */
    uint32_t           run_index, run_count;
    enx_train_progress step;
} enx_climb_progress;

typedef struct enx_climb_options {
    const enx_climb *climb;
    const char      *data_folder;
    const char      *out_folder; /* made where there is none */
    const char      *commit;     /* version of the program; may be NULL */
    uint32_t         rung_count; /* only the first ones; 0: all */
    enx_pool        *pool;
    unsigned         cpu_flags; /* cpu.h */
    bool             is_f32;
    /* After every step; false stops. */
    bool (*on_step)(void *user, const enx_climb_progress *progress);
    void *user;
} enx_climb_options;

/* Everything is borrowed for the call.  ENX_CANCELED: stopped, all is saved.  ENX_INVALID: the
 * sweep of the rate is no evidence (climb.h), or the text would be read more than
 * ENX_CLIMB_EPOCHS_MAX times although the ladder does not ask for it.  ENX_FORMAT: the folder holds
 * another ladder's runs.  Besides those of trainer and dataset. */
ENX_MUST_USE enx_status enx_climb_run(const enx_climb_options *options, enx_report *report);

#endif /* ENX_TRAIN_CLIMB_RUN_H */
