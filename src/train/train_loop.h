/* SPDX-License-Identifier: Apache-2.0 */
/* train_loop.h - steps, schedule, checkpoints: from a recipe to a GGUF file.
 *
 *   open   recipe, data, tokenizer (trained, or read from the checkpoint), start or checkpoint
 *   step   each shard fills its batches and adds up gradients; sums in shard order; AdamW
 *   save   every checkpoint_minutes: parameters, moments, draw counts, step, record; atomically
 *   export GGUF in f32, f16 or Q8_0 with the record of the run
 *
 * Resuming from a checkpoint gives the very numbers that an uninterrupted run gives, and so does
 * any number of threads: shards are part of the recipe, threads only carry them.
 *
 * Layer: train.  Thread-safety: one owner thread; it brings a pool.
 */
#ifndef ENX_TRAIN_TRAIN_LOOP_H
#define ENX_TRAIN_TRAIN_LOOP_H

#include "base/status.h"
#include "gguf/gguf.h"
#include "plat/pool.h"
#include "train/dataset.h"
#include "train/held.h"
#include "train/recipe.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct enx_trainer enx_trainer;

/* Electric power of one busy core, for estimates of energy. */
extern const double enx_trainer_watts_per_core;

typedef struct enx_trainer_options {
    const enx_recipe *recipe;      /* borrowed */
    const char       *data_folder; /* borrowed during open */
    const char       *checkpoint;  /* path; an existing one is resumed */
    const char       *init;        /* a model file to start from; NULL: from chance.  Its tokenizer
                                      and sizes must be the recipe's; ignored on resume */
    enx_dataset      *dataset;     /* borrowed, of this recipe; NULL: read from data_folder */
    const char       *vocab;       /* file of the vocabulary, made where there is none; NULL: beside
                                      the checkpoint */
    const char       *fork;        /* a checkpoint to go on from where `checkpoint` is not there,
                                      and to leave as it is; NULL: none */
    const char       *commit;      /* version of the program, for the record; may be NULL */
    enx_pool         *pool;        /* borrowed */
    unsigned          cpu_flags;   /* cpu.h */
    bool              is_f32;      /* f32 products even where bf16 is faster */
} enx_trainer_options;

typedef struct enx_train_progress {
    uint32_t step, steps;
    double   loss;          /* nats a target token, mean of this step */
    double   loss_smooth;   /* over about 50 steps */
    double   bits_per_byte; /* of the target text, smooth */
    double   gradient_norm;
    double   learning_rate;
    double   tokens_per_s; /* since this process started */
    double   seconds_left;
    uint64_t tokens, targets; /* so far, all processes together */
} enx_train_progress;

/* ENX_FORMAT when the checkpoint belongs to another recipe or data. */
ENX_MUST_USE enx_status enx_trainer_open(enx_trainer **out, const enx_trainer_options *options,
                                         enx_report *report);
void                    enx_trainer_close(enx_trainer **trainer);

bool enx_trainer_is_done(const enx_trainer *trainer);

/* One optimizer step.  ENX_LIMIT when the loss is not a number: nothing is changed then. */
ENX_MUST_USE enx_status enx_trainer_step(enx_trainer *trainer, enx_train_progress *progress,
                                         enx_report *report);

/* Mean bits a byte on held-out text, of the model as it is.  The same for any number of threads. */
ENX_MUST_USE enx_status enx_trainer_measure(enx_trainer *trainer, const enx_held *held,
                                            double *bits_per_byte, enx_report *report);

ENX_MUST_USE enx_status enx_trainer_save(enx_trainer *trainer, enx_report *report);
bool                    enx_trainer_wants_save(const enx_trainer *trainer);

/* Write the model with its tokenizer and record.  type: ENX_TENSOR_F32, _F16 or _Q8_0 (norms
 * stay f32). */
ENX_MUST_USE enx_status enx_trainer_export(enx_trainer *trainer, const char *path,
                                           enx_tensor_type type, enx_report *report);

/* The record of the run as JSON text (owned by the caller, enx_mem_free): name, parameters,
 * tokens, targets, flops, cpu_seconds, wall_seconds, energy_wh_estimate, loss, loss curve, data
 * hash, commit. */
ENX_MUST_USE enx_status enx_trainer_record(const enx_trainer *trainer, char **out,
                                           enx_report *report);

uint64_t enx_trainer_param_count(const enx_trainer *trainer);

/* Counted over all processes that worked on the run. */
typedef struct enx_trainer_totals {
    uint64_t tokens, targets, text_bytes;
    double   wall_s, cpu_s;
} enx_trainer_totals;
enx_trainer_totals   enx_trainer_totals_now(const enx_trainer *trainer);
/* Bits a byte of the text that was trained on, smooth over about 50 steps. */
double               enx_trainer_bits_per_byte(const enx_trainer *trainer);
/* "bf16" or "f32": what the matrix products take. */
const char          *enx_trainer_products(const enx_trainer *trainer);
/* FNV-1a over the parameters' bytes. */
uint64_t             enx_trainer_hash(const enx_trainer *trainer);
const enx_tokenizer *enx_trainer_tokenizer(const enx_trainer *trainer);

#endif /* ENX_TRAIN_TRAIN_LOOP_H */
