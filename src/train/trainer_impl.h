/* SPDX-License-Identifier: Apache-2.0 */
/* trainer_impl.h - what train_loop.c, checkpoint.c and export.c share.
 *
 * Layer: train, private.  Thread-safety: as train_loop.h.
 */
#ifndef ENX_TRAIN_TRAINER_IMPL_H
#define ENX_TRAIN_TRAINER_IMPL_H

#include "gguf/gguf_write.h"
#include "plat/file.h"
#include "text/tokenizer.h"
#include "train/dataset.h"
#include "train/net.h"
#include "train/train_loop.h"

enum {
    TRAINER_SPANS_MAX = 4096,
    TRAINER_SPAN_FLOATS = 1 << 18,
    TRAINER_CURVE_MAX = 1024,
    TRAINER_PATH_MAX = 4096,
    TRAINER_MATRICES_MAX = 4 * ENX_NET_LAYERS_MAX + 1,
};

/* A stretch of parameters that is updated as one part of a parallel run. */
typedef struct trainer_span {
    size_t at, count;
    bool   is_decayed;
} trainer_span;

struct enx_trainer {
    const enx_recipe *recipe;
    enx_pool         *pool;
    enx_grad_kernels  grad;
    bool              is_bf16;
    char              checkpoint[TRAINER_PATH_MAX];
    char              vocab_path[TRAINER_PATH_MAX];
    char              commit[64];

    enx_dataset   *dataset;
    bool           has_own_dataset;
    enx_file       vocab_file; /* GGUF that holds the tokenizer's keys only */
    enx_gguf      *vocab_gguf;
    enx_tokenizer *tokenizer;

    enx_net_layout layout;
    float         *params, *moment1, *moment2;
    enx_operands  *operands;
    enx_shard     *shards[ENX_DATASET_SHARDS_MAX];

    trainer_span spans[TRAINER_SPANS_MAX];
    double       span_squares[TRAINER_SPANS_MAX];
    uint32_t     span_count;

    uint32_t           step;
    double             loss_smooth, bytes_smooth; /* nats a target; bits a byte */
    enx_trainer_totals totals;
    float              curve[TRAINER_CURVE_MAX][2]; /* step, smooth loss */
    uint32_t           curve_count;

    uint64_t started_us, started_cpu_us, saved_us;
    uint64_t started_tokens;
    uint32_t started_step;
};

/* checkpoint.c */
enx_status trainer_checkpoint_load(enx_trainer *trainer, const char *path, enx_report *report);
uint64_t   trainer_recipe_hash(const enx_trainer *trainer);

/* init.c: the parameters, tokenizer and spent effort of an earlier model. */
enx_status trainer_init_vocab(const char *model_path, const char *vocab_path, enx_report *report);
enx_status trainer_init_params(enx_trainer *trainer, const char *model_path, enx_report *report);

#endif /* ENX_TRAIN_TRAINER_IMPL_H */
