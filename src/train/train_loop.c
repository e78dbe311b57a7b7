/* SPDX-License-Identifier: Apache-2.0 */
/* train_loop.c - one optimizer step after the other.
 *
 * (1) A step is a pure function of (recipe, data, step number, state of the last step).
 * (2) Threads only carry shards and spans: sums run in the order of shards and spans.
 * (3) Nothing is written to parameters before the whole gradient is known to be finite.
 */
#include "train/train_loop.h"

#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "text/vocab_gguf.h"
#include "train/bpe_train.h"
#include "train/operands.h"
#include "train/trainer_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double beta1 = 0.9, beta2 = 0.95;

/* ---- Opening ----------------------------------------------------------------------------- */

static enx_status feed_bpe(void *user, const char *text, size_t size_bytes)
{
    return enx_bpe_feed(user, text, size_bytes, NULL);
}

static bool reads_plain(const enx_recipe *r)
{
    for (unsigned i = 0; i < r->sources_count; i++)
        if (r->sources[i].kind == ENX_SOURCE_PLAIN) return true;
    return false;
}

/* Learn the vocabulary and keep it in its file. */
static enx_status make_vocab(enx_trainer *t, enx_report *report)
{
    uint32_t              control_count;
    const char *const    *controls = enx_dataset_controls(t->dataset, &control_count);
    const enx_bpe_options options = { .pre = t->recipe->tokenizer.pre,
                                      .vocab_count = t->recipe->tokenizer.vocab,
                                      .control_names = controls,
                                      .control_count = control_count,
                                      .eos = 0 }; /* <|end|> is the first control word */
    enx_bpe              *bpe = NULL;
    enx_gguf_writer      *writer = NULL;
    enx_buf               bytes;
    enx_buf_init(&bytes, (size_t)1 << 28);
    enx_status status = enx_bpe_open(&bpe, &options, report);
    if (status == ENX_OK) status = enx_dataset_feed(t->dataset, feed_bpe, bpe, report);
    if (status == ENX_OK) status = enx_bpe_run(bpe, report);
    if (status == ENX_OK) status = enx_gguf_writer_open(&writer, report);
    if (status == ENX_OK) {
        /* Running text is learnt behind <|end|>, so a prompt begins with it, too. */
        enx_vocab vocab = *enx_bpe_vocab(bpe);
        vocab.has_bos = reads_plain(t->recipe);
        vocab.bos = vocab.eos;
        status = enx_vocab_write(writer, &vocab, report);
    }
    if (status == ENX_OK) status = enx_gguf_writer_finish(writer, &bytes, report);
    if (status == ENX_OK)
        status = enx_file_write(t->vocab_path, bytes.data, bytes.size_bytes, report);
    enx_gguf_writer_close(&writer);
    enx_bpe_close(&bpe);
    enx_buf_deinit(&bytes);
    return status;
}

static enx_status open_vocab(enx_trainer *t, const char *init, enx_report *report)
{
    if (!enx_file_exists(t->vocab_path))
        ENX_TRY(init ? trainer_init_vocab(init, t->vocab_path, report) : make_vocab(t, report));
    ENX_TRY(enx_file_map(&t->vocab_file, t->vocab_path, report));
    ENX_TRY(enx_gguf_open(&t->vocab_gguf, t->vocab_file.bytes, t->vocab_file.size_bytes, report));
    ENX_TRY(enx_tokenizer_open(&t->tokenizer, t->vocab_gguf, report));
    if (enx_tokenizer_count(t->tokenizer) != t->recipe->tokenizer.vocab)
        return ENX_FAIL(report, INVALID,
                        "tokenizer.vocab: the text gives %u tokens, the recipe wants %u; lower it "
                        "and remove %s",
                        enx_tokenizer_count(t->tokenizer), t->recipe->tokenizer.vocab,
                        t->vocab_path);
    return enx_dataset_set_tokenizer(t->dataset, t->tokenizer, report);
}

static void add_span(enx_trainer *t, size_t at, size_t count, bool is_decayed)
{
    for (size_t done = 0; done < count; done += TRAINER_SPAN_FLOATS) {
        ENX_CHECK(t->span_count < TRAINER_SPANS_MAX);
        const size_t left = count - done;
        t->spans[t->span_count++] =
            (trainer_span){ at + done, left < TRAINER_SPAN_FLOATS ? left : TRAINER_SPAN_FLOATS,
                            is_decayed };
    }
}

/* Matrices of the layers decay; the embedding and the gains do not. */
static void cut_spans(enx_trainer *t)
{
    const enx_net_sizes *z = &t->layout.sizes;
    const size_t         c = z->width, f = z->ffn;
    add_span(t, t->layout.embed, z->vocab * c, false);
    for (uint32_t i = 0; i < z->layers; i++) {
        const enx_net_layer_at *at = &t->layout.layers[i];
        add_span(t, at->attn_norm, c, false);
        add_span(t, at->qkv, 3 * c * c, true);
        add_span(t, at->q_norm, 2 * z->head_width, false); /* q_norm, k_norm */
        add_span(t, at->attn_out, c * c, true);
        add_span(t, at->ffn_norm, c, false);
        add_span(t, at->gate_up, 2 * f * c + c * f, true); /* gate_up, down */
    }
    add_span(t, t->layout.out_norm, c, false);
}

static enx_status open_net(enx_trainer *t, unsigned cpu_flags, enx_report *report)
{
    const enx_recipe   *r = t->recipe;
    const enx_net_sizes sizes = { r->tokenizer.vocab, r->model.width, r->model.layers,
                                  r->model.head_width, r->model.ffn };
    (void)cpu_flags;
    ENX_TRY(enx_net_layout_init(&t->layout, &sizes, report));
    t->params = ENX_MEM_NEW(float, t->layout.count);
    t->moment1 = ENX_MEM_NEW(float, t->layout.count);
    t->moment2 = ENX_MEM_NEW(float, t->layout.count);
    if (!t->params || !t->moment1 || !t->moment2)
        return ENX_FAIL(report, NOMEM, "no memory for %zu parameters", t->layout.count);
    ENX_TRY(enx_operands_open(&t->operands, &t->layout, r->train.shard_tokens, t->is_bf16, &t->grad,
                              report));
    for (uint32_t i = 0; i < r->train.shards; i++)
        ENX_TRY(enx_shard_open(&t->shards[i], &t->layout, r->train.shard_tokens, t->is_bf16,
                               &t->grad, report));
    cut_spans(t);
    return ENX_OK;
}

/* Of parts that ran side by side, the first in their order that failed, with its report. */
static enx_status first_failure(const enx_status *status, const enx_report *reports, uint32_t count,
                                enx_report *report)
{
    for (uint32_t i = 0; i < count; i++) {
        if (status[i] == ENX_OK) continue;
        if (report) *report = reports[i];
        return status[i];
    }
    return ENX_OK;
}

typedef struct fill_work {
    enx_trainer *t;
    enx_status   status[TRAINER_MATRICES_MAX];
    enx_report   report[TRAINER_MATRICES_MAX];
} fill_work;

static void fill_matrix(void *user, uint32_t part, uint32_t part_count)
{
    (void)part_count;
    fill_work *w = user;
    w->status[part] = enx_operands_fill(w->t->operands, w->t->params, part, &w->report[part]);
}

/* The operands of the next passes, from the parameters as they are now. */
static enx_status fill_operands(enx_trainer *t, enx_report *report)
{
    fill_work      work = { .t = t };
    const uint32_t parts = enx_operands_part_count(t->operands);
    ENX_CHECK(parts <= TRAINER_MATRICES_MAX);
    enx_pool_run(t->pool, fill_matrix, &work, parts);
    return first_failure(work.status, work.report, parts, report);
}

static enx_status open_all(enx_trainer *t, const enx_trainer_options *o, enx_report *report)
{
    if (snprintf(t->checkpoint, sizeof t->checkpoint, "%s", o->checkpoint) >= TRAINER_PATH_MAX - 8)
        return ENX_FAIL(report, LIMIT, "checkpoint path is too long");
    snprintf(t->vocab_path, sizeof t->vocab_path, "%.4080s%s", o->vocab ? o->vocab : o->checkpoint,
             o->vocab ? "" : ".vocab");
    snprintf(t->commit, sizeof t->commit, "%s", o->commit ? o->commit : "unknown");
    if (o->dataset) enx_dataset_rewind(t->dataset = o->dataset);
    else ENX_TRY(enx_dataset_open(&t->dataset, t->recipe, o->data_folder, report));
    ENX_TRY(open_vocab(t, o->init, report));
    ENX_TRY(open_net(t, o->cpu_flags, report));
    if (enx_file_exists(t->checkpoint)) ENX_TRY(trainer_checkpoint_load(t, t->checkpoint, report));
    else if (o->fork) ENX_TRY(trainer_checkpoint_load(t, o->fork, report));
    else if (o->init) ENX_TRY(trainer_init_params(t, o->init, report));
    else enx_net_start(&t->layout, t->params, t->recipe->seed);
    return fill_operands(t, report);
}

enx_status enx_trainer_open(enx_trainer **out, const enx_trainer_options *options,
                            enx_report *report)
{
    enx_trainer *t = ENX_MEM_NEW(enx_trainer, 1);
    if (!t) return ENX_FAIL(report, NOMEM, "no memory for a trainer");
    t->recipe = options->recipe;
    t->pool = options->pool;
    t->has_own_dataset = !options->dataset;
    t->is_bf16 = !options->is_f32 && enx_gemm_has_bf16();
    enx_grad_kernels_init(&t->grad, options->cpu_flags);
    const enx_status status = open_all(t, options, report);
    if (status != ENX_OK) {
        enx_trainer_close(&t);
        return status;
    }
    t->started_us = t->saved_us = enx_clock_monotonic_us();
    t->started_cpu_us = enx_clock_cpu_us();
    t->started_tokens = t->totals.tokens;
    t->started_step = t->step;
    *out = t;
    return ENX_OK;
}

void enx_trainer_close(enx_trainer **trainer)
{
    enx_trainer *t = *trainer;
    if (!t) return;
    for (uint32_t i = 0; i < ENX_DATASET_SHARDS_MAX; i++) enx_shard_close(&t->shards[i]);
    enx_operands_close(&t->operands);
    enx_mem_free(t->params);
    enx_mem_free(t->moment1);
    enx_mem_free(t->moment2);
    enx_tokenizer_close(&t->tokenizer);
    enx_gguf_close(&t->vocab_gguf);
    enx_file_unmap(&t->vocab_file);
    if (t->has_own_dataset) enx_dataset_close(&t->dataset);
    enx_mem_free(t);
    *trainer = NULL;
}

bool enx_trainer_is_done(const enx_trainer *trainer)
{
    return trainer->step >= trainer->recipe->train.steps;
}

uint64_t enx_trainer_param_count(const enx_trainer *trainer) { return trainer->layout.count; }

double enx_trainer_bits_per_byte(const enx_trainer *trainer) { return trainer->bytes_smooth; }

const char *enx_trainer_products(const enx_trainer *t) { return t->is_bf16 ? "bf16" : "f32"; }

uint64_t enx_trainer_hash(const enx_trainer *trainer)
{
    const uint8_t *bytes = (const uint8_t *)trainer->params;
    uint64_t       hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < trainer->layout.count * sizeof(float); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001B3);
    return hash;
}

const enx_tokenizer *enx_trainer_tokenizer(const enx_trainer *trainer)
{
    return trainer->tokenizer;
}

enx_trainer_totals enx_trainer_totals_now(const enx_trainer *t)
{
    enx_trainer_totals now = t->totals;
    now.wall_s += (double)(enx_clock_monotonic_us() - t->started_us) * 1e-6;
    now.cpu_s += (double)(enx_clock_cpu_us() - t->started_cpu_us) * 1e-6;
    return now;
}

/* ---- A step ------------------------------------------------------------------------------- */

typedef struct shard_work {
    enx_trainer *t;
    double       loss_sum[ENX_DATASET_SHARDS_MAX];
    uint64_t     targets[ENX_DATASET_SHARDS_MAX], text_bytes[ENX_DATASET_SHARDS_MAX];
    enx_status   status[ENX_DATASET_SHARDS_MAX];
    enx_report   report[ENX_DATASET_SHARDS_MAX];
} shard_work;

static void run_shard(void *user, uint32_t part, uint32_t part_count)
{
    (void)part_count;
    shard_work  *w = user;
    enx_trainer *t = w->t;
    enx_shard   *shard = t->shards[part];
    enx_batch   *batch = enx_shard_batch(shard);
    memset(enx_shard_gradients(shard), 0, t->layout.count * sizeof(float));
    for (uint32_t pass = 0; pass < t->recipe->train.passes && w->status[part] == ENX_OK; pass++) {
        double loss = 0;
        w->status[part] =
            enx_dataset_fill(t->dataset, part, batch, t->recipe->model.context, &w->report[part]);
        if (w->status[part] == ENX_OK)
            w->status[part] =
                enx_shard_run(shard, t->params, t->operands, true, 1.0f, &loss, &w->report[part]);
        w->loss_sum[part] += loss;
        w->targets[part] += batch->target_count;
        w->text_bytes[part] += batch->text_bytes;
    }
}

typedef struct update_work {
    enx_trainer *t;
    float        gradient_scale, learning_rate, correct1, correct2;
} update_work;

/* Gradients of all shards into shard 0's, and the sum of squares of the span. */
static void sum_span(void *user, uint32_t part, uint32_t part_count)
{
    (void)part_count;
    enx_trainer        *t = user;
    const trainer_span *span = &t->spans[part];
    float              *sum = enx_shard_gradients(t->shards[0]) + span->at;
    for (uint32_t s = 1; s < t->recipe->train.shards; s++) {
        const float *more = enx_shard_gradients(t->shards[s]) + span->at;
        for (size_t i = 0; i < span->count; i++) sum[i] += more[i];
    }
    t->span_squares[part] = t->grad.sum_squares(sum, span->count);
}

static void update_span(void *user, uint32_t part, uint32_t part_count)
{
    (void)part_count;
    const update_work  *w = user;
    enx_trainer        *t = w->t;
    const trainer_span *span = &t->spans[part];
    const size_t        at = span->at;
    const double        decay = span->is_decayed ? t->recipe->train.weight_decay : 0.0;
    t->grad.adamw(t->params + at, t->moment1 + at, t->moment2 + at,
                  enx_shard_gradients(t->shards[0]) + at, span->count, w->gradient_scale,
                  w->learning_rate, (float)decay, (float)beta1, (float)beta2, w->correct1,
                  w->correct2);
}

/* Warm-up, plateau, and a straight fall to 0 over the last `decay` of the steps. */
static double rate_at(const enx_recipe *r, uint32_t step)
{
    const enx_recipe_schedule *s = &r->train;
    const double peak = s->learning_rate > 0 ? s->learning_rate : 0.4 / r->model.width;
    const double fall = s->decay * s->steps, left = (double)(s->steps - step);
    if (step < s->warmup) return peak * (step + 1) / s->warmup;
    return left < fall ? peak * left / fall : peak;
}

static void note_loss(enx_trainer *t, double loss, double bits_per_byte)
{
    const double keep = t->step == 0 ? 0.0 : t->step < 50 ? 1.0 - 1.0 / (t->step + 1.0) : 0.98;
    t->loss_smooth = keep * t->loss_smooth + (1 - keep) * loss;
    t->bytes_smooth = keep * t->bytes_smooth + (1 - keep) * bits_per_byte;
    const uint32_t every = t->recipe->train.steps / 200 + 1;
    if (t->step % every == 0 && t->curve_count < TRAINER_CURVE_MAX) {
        t->curve[t->curve_count][0] = (float)t->step;
        t->curve[t->curve_count++][1] = (float)t->loss_smooth;
    }
}

static void fill_progress(const enx_trainer *t, enx_train_progress *p)
{
    const double seconds = (double)(enx_clock_monotonic_us() - t->started_us) * 1e-6;
    const double steps_done = t->step - t->started_step;
    p->step = t->step;
    p->steps = t->recipe->train.steps;
    p->loss_smooth = t->loss_smooth;
    p->bits_per_byte = t->bytes_smooth;
    p->tokens = t->totals.tokens;
    p->targets = t->totals.targets;
    p->tokens_per_s = (double)(t->totals.tokens - t->started_tokens) / seconds;
    p->seconds_left = seconds / steps_done * (p->steps - p->step);
}

static enx_status run_shards(enx_trainer *t, shard_work *w, enx_report *report)
{
    enx_pool_run(t->pool, run_shard, w, t->recipe->train.shards);
    return first_failure(w->status, w->report, t->recipe->train.shards, report);
}

enx_status enx_trainer_step(enx_trainer *t, enx_train_progress *progress, enx_report *report)
{
    ENX_CHECK(!enx_trainer_is_done(t));
    shard_work w = { .t = t };
    ENX_TRY(run_shards(t, &w, report));
    double   loss_sum = 0, squares = 0;
    uint64_t targets = 0, text_bytes = 0;
    for (uint32_t s = 0; s < t->recipe->train.shards; s++) {
        loss_sum += w.loss_sum[s];
        targets += w.targets[s];
        text_bytes += w.text_bytes[s];
    }
    enx_pool_run(t->pool, sum_span, t, t->span_count);
    for (uint32_t i = 0; i < t->span_count; i++) squares += t->span_squares[i];
    const double norm = sqrt(squares) / (double)targets, loss = loss_sum / (double)targets;
    if (!isfinite(norm) || !isfinite(loss))
        return ENX_FAIL(report, LIMIT,
                        "step %u: the loss is not a number; lower train.learning_rate and resume "
                        "from the checkpoint",
                        t->step);
    const double      clip = t->recipe->train.clip;
    const double      shrink = clip > 0 && norm > clip ? clip / norm : 1.0;
    const update_work update = { .t = t,
                                 .gradient_scale = (float)(shrink / (double)targets),
                                 .learning_rate = (float)rate_at(t->recipe, t->step),
                                 .correct1 = (float)(1 - pow(beta1, t->step + 1.0)),
                                 .correct2 = (float)(1 - pow(beta2, t->step + 1.0)) };
    update_work       carried = update;
    enx_pool_run(t->pool, update_span, &carried, t->span_count);
    ENX_TRY(fill_operands(t, report));
    note_loss(t, loss, loss_sum / log(2.0) / (double)text_bytes);
    const enx_recipe_schedule *s = &t->recipe->train;
    t->totals.tokens += (uint64_t)s->shards * s->passes * s->shard_tokens;
    t->totals.targets += targets;
    t->totals.text_bytes += text_bytes;
    t->step++;
    progress->loss = loss;
    progress->gradient_norm = norm;
    progress->learning_rate = (double)update.learning_rate;
    fill_progress(t, progress);
    return ENX_OK;
}

/* ---- Held-out text ------------------------------------------------------------------------ */

typedef struct measure_work {
    enx_trainer    *t;
    const enx_held *held;
    bool            has_batch[ENX_DATASET_SHARDS_MAX];
    double          loss[ENX_DATASET_SHARDS_MAX];
    enx_status      status[ENX_DATASET_SHARDS_MAX];
    enx_report      report[ENX_DATASET_SHARDS_MAX];
} measure_work;

static void measure_shard(void *user, uint32_t part, uint32_t part_count)
{
    (void)part_count;
    measure_work *w = user;
    if (w->has_batch[part])
        w->status[part] = enx_shard_run(w->t->shards[part], w->t->params, w->t->operands, false,
                                        1.0f, &w->loss[part], &w->report[part]);
}

enx_status enx_trainer_measure(enx_trainer *t, const enx_held *held, double *bits_per_byte,
                               enx_report *report)
{
    double   sum = 0;
    uint32_t next = 0;
    while (next < enx_held_window_count(held)) {
        measure_work w = { .t = t, .held = held };
        for (uint32_t s = 0; s < t->recipe->train.shards; s++)
            w.has_batch[s] = enx_held_fill(held, &next, enx_shard_batch(t->shards[s]));
        enx_pool_run(t->pool, measure_shard, &w, t->recipe->train.shards);
        ENX_TRY(first_failure(w.status, w.report, t->recipe->train.shards, report));
        for (uint32_t s = 0; s < t->recipe->train.shards; s++) sum += w.loss[s];
    }
    *bits_per_byte = sum / log(2.0) / (double)enx_held_bytes(held);
    return ENX_OK;
}

bool enx_trainer_wants_save(const enx_trainer *t)
{
    const double minutes = (double)(enx_clock_monotonic_us() - t->saved_us) / 60e6;
    return minutes >= t->recipe->train.checkpoint_minutes;
}
