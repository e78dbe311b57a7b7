/* SPDX-License-Identifier: Apache-2.0 */
/* climb_run.c - from a ladder's plan to its runs.csv.
 *
 * (1) A run is done when its line is in runs.csv, and its line is written after its model.
 * (2) A trunk goes beyond the place where a branch leaves it only when that branch is done.
 * (3) A run's key is a hash of all that its numbers depend on: a line counts for that run only.
 */
#include "train/climb_run.h"

#include "base/check.h"
#include "base/mem.h"
#include "plat/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_BYTES_MAX = 1024,
    RUNS_MAX = ENX_CLIMB_TRUNKS_MAX * ENX_CLIMB_BRANCHES_MAX,
    CSV_BYTES_MAX = RUNS_MAX * LINE_BYTES_MAX,
    PATH_BYTES_MAX = 4096,
    LOSS_COLUMN = 4,
};

static const char *const header =
    "key,name,purpose,tokens_per_param,bits_per_byte,N,N_without_embedding,D,C,U,epochs,width,"
    "layers,seed,rate_factor,lr,steps,train_bits_per_byte,wall_s,cpu_s,energy_wh,products,"
    "tokenizer,data_hash,held_hash,weights_hash,commit\n";

typedef struct run {
    const enx_climb_trunk  *trunk;
    const enx_climb_branch *branch;
    uint64_t                key;
    char                    name[ENX_CLIMB_NAME_BYTES_MAX];
    char                    line[LINE_BYTES_MAX]; /* of runs.csv; "": not done */
    double                  loss;
} run;

typedef struct climber {
    const enx_climb_options *o;
    const enx_climb         *climb;
    enx_climb_trunk          trunks[ENX_CLIMB_TRUNKS_MAX];
    uint32_t                 trunk_count;
    run                     *runs; /* [run_count], in the plan's order */
    uint32_t                 run_count;
    uint32_t                 run_limit; /* those of the rungs that are asked for */
    enx_recipe               recipe;    /* of the part under way */
    enx_recipe_source        sources[ENX_RECIPE_SOURCES_MAX];
    enx_dataset             *dataset;
    enx_held                *held;
    uint64_t                 vocab_hash;
    double                   unique_tokens; /* that the text has */
} climber;

static uint64_t fnv1a(uint64_t hash, const void *bytes, size_t size_bytes)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < size_bytes; i++) hash = (hash ^ p[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static enx_status path_of(const climber *c, char out[PATH_BYTES_MAX], const char *name,
                          const char *suffix, enx_report *report)
{
    if (snprintf(out, PATH_BYTES_MAX, "%s/%s%s", c->o->out_folder, name, suffix) >=
        PATH_BYTES_MAX - 16)
        return ENX_FAIL(report, LIMIT, "path too long: %s/%s", c->o->out_folder, name);
    return ENX_OK;
}

/* ---- Parts of a run -------------------------------------------------------------------------- */

typedef struct part {
    const run  *run;
    const char *checkpoint, *fork; /* fork: NULL where there is none */
    uint32_t    steps, fall_steps; /* of which the last ones fall */
} part;

static enx_status open_part(climber *c, const part *p, enx_trainer **trainer, enx_report *report)
{
    char vocab[PATH_BYTES_MAX];
    ENX_TRY(path_of(c, vocab, "vocab", ".gguf", report));
    c->recipe = enx_climb_recipe(c->climb, p->run->trunk, c->sources);
    c->recipe.train.steps = p->steps;
    c->recipe.train.decay = (double)p->fall_steps / p->steps;
    const enx_trainer_options options = { .recipe = &c->recipe,
                                          .dataset = c->dataset,
                                          .vocab = vocab,
                                          .checkpoint = p->checkpoint,
                                          .fork = p->fork,
                                          .commit = c->o->commit,
                                          .pool = c->o->pool,
                                          .cpu_flags = c->o->cpu_flags,
                                          .is_f32 = c->o->is_f32 };
    return enx_trainer_open(trainer, &options, report);
}

/* To the end, or until somebody asks to stop; saved in both cases. */
static enx_status step_part(climber *c, const part *p, enx_trainer *trainer, enx_report *report)
{
    enx_climb_progress progress = { .run = p->run->name,
                                    .run_index = (uint32_t)(p->run - c->runs),
                                    .run_count = c->run_limit };
    bool               is_going = true;
    while (is_going && !enx_trainer_is_done(trainer)) {
        ENX_TRY(enx_trainer_step(trainer, &progress.step, report));
        if (enx_trainer_wants_save(trainer)) ENX_TRY(enx_trainer_save(trainer, report));
        is_going = !c->o->on_step || c->o->on_step(c->o->user, &progress);
    }
    ENX_TRY(enx_trainer_save(trainer, report));
    if (enx_trainer_is_done(trainer)) return ENX_OK;
    return ENX_FAIL(report, CANCELED, "stopped; the same command goes on from the checkpoint");
}

/* The trunk up to where the branch leaves it. */
static enx_status grow_trunk(climber *c, const run *r, const char *checkpoint, enx_report *report)
{
    const part   p = { .run = r, .checkpoint = checkpoint, .steps = r->branch->fall_step };
    enx_trainer *trainer = NULL;
    ENX_TRY(open_part(c, &p, &trainer, report));
    const enx_status status = step_part(c, &p, trainer, report);
    enx_trainer_close(&trainer);
    return status;
}

/* ---- A line of runs.csv ---------------------------------------------------------------------- */

static enx_status write_line(climber *c, run *r, enx_trainer *trainer, enx_report *report)
{
    const enx_trainer_totals now = enx_trainer_totals_now(trainer);
    const enx_climb_trunk   *t = r->trunk;
    const enx_recipe        *recipe = &c->recipe;
    const double             tokens = (double)now.targets;
    const double             unique = fmin(tokens, c->unique_tokens);
    ENX_TRY(enx_trainer_measure(trainer, c->held, &r->loss, report));
    const int size_bytes = snprintf(
        r->line, sizeof r->line,
        "%016llx,%s,%s,%g,%.6f,%llu,%llu,%.0f,%.6g,%.0f,%.3f,%u,%u,%llu,%g,%.6g,%u,%.6f,%.1f,%.1f,"
        "%.3f,%s,%016llx,%016llx,%016llx,%016llx,%s\n",
        (unsigned long long)r->key, r->name, t->is_law ? "law" : "sweep",
        r->branch->tokens_per_param, r->loss, (unsigned long long)t->params,
        (unsigned long long)(t->params - t->embed_params), tokens,
        enx_climb_flops(c->climb, t, r->branch), unique, tokens / unique, recipe->model.width,
        recipe->model.layers, (unsigned long long)t->seed, t->factor, recipe->train.learning_rate,
        r->branch->steps, enx_trainer_bits_per_byte(trainer), now.wall_s, now.cpu_s,
        now.cpu_s * enx_trainer_watts_per_core / 3600, enx_trainer_products(trainer),
        (unsigned long long)c->vocab_hash, (unsigned long long)enx_dataset_hash(c->dataset),
        (unsigned long long)enx_held_hash(c->held), (unsigned long long)enx_trainer_hash(trainer),
        c->o->commit ? c->o->commit : "unknown");
    ENX_CHECK(size_bytes > 0 && (size_t)size_bytes < sizeof r->line);
    return ENX_OK;
}

static enx_status write_runs(const climber *c, enx_report *report)
{
    char    path[PATH_BYTES_MAX];
    enx_buf csv;
    ENX_TRY(path_of(c, path, "runs", ".csv", report));
    enx_buf_init(&csv, CSV_BYTES_MAX);
    enx_status status = enx_buf_append_text(&csv, header);
    for (uint32_t i = 0; i < c->run_count && status == ENX_OK; i++)
        status = enx_buf_append_text(&csv, c->runs[i].line);
    if (status == ENX_OK) status = enx_file_write(path, csv.data, csv.size_bytes, report);
    else status = ENX_FAIL(report, NOMEM, "no memory for %s", path);
    enx_buf_deinit(&csv);
    return status;
}

/* The model that stands for its rung. */
static enx_status export_rung(const climber *c, const run *r, enx_trainer *trainer,
                              enx_report *report)
{
    char path[PATH_BYTES_MAX], name[ENX_CLIMB_NAME_BYTES_MAX];
    if (!r->trunk->is_law || r->trunk->seed != c->climb->seed ||
        r->branch != &r->trunk->branches[r->trunk->branch_count - 1])
        return ENX_OK;
    snprintf(name, sizeof name, "w%03u", c->recipe.model.width);
    ENX_TRY(path_of(c, path, name, ".gguf", report));
    return enx_trainer_export(trainer, path, ENX_TENSOR_F16, report);
}

/* From the trunk to the end of the branch, and its line. */
static enx_status finish_branch(climber *c, run *r, const char *trunk, const char *checkpoint,
                                enx_report *report)
{
    const enx_climb_branch *b = r->branch;
    const part              p = { .run = r,
                                  .checkpoint = checkpoint,
                                  .fork = b->fall_step ? trunk : NULL,
                                  .steps = b->steps,
                                  .fall_steps = b->steps - b->fall_step };
    enx_trainer            *trainer = NULL;
    ENX_TRY(open_part(c, &p, &trainer, report));
    enx_status status = step_part(c, &p, trainer, report);
    if (status == ENX_OK) status = export_rung(c, r, trainer, report);
    if (status == ENX_OK) status = write_line(c, r, trainer, report);
    if (status == ENX_OK) status = write_runs(c, report);
    enx_trainer_close(&trainer);
    return status;
}

static enx_status run_trunk(climber *c, run *first, uint32_t count, enx_report *report)
{
    char trunk[PATH_BYTES_MAX], branch[PATH_BYTES_MAX];
    ENX_TRY(path_of(c, trunk, first->name, ".trunk", report));
    for (run *r = first; r < first + count; r++) {
        if (r->line[0]) continue;
        ENX_TRY(path_of(c, branch, r->name, ".run", report));
        if (!enx_file_exists(branch) && r->branch->fall_step)
            ENX_TRY(grow_trunk(c, r, trunk, report));
        ENX_TRY(finish_branch(c, r, trunk, branch, report));
        remove(branch);
    }
    remove(trunk);
    return ENX_OK;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static uint64_t hash_file(const char *path, enx_status *status, enx_report *report)
{
    enx_file file = { 0 };
    *status = enx_file_map(&file, path, report);
    const uint64_t hash = fnv1a(UINT64_C(0xCBF29CE484222325), file.bytes, file.size_bytes);
    enx_file_unmap(&file);
    return hash;
}

/* The vocabulary, made by the first trainer that opens, and the held-out text in its tokens. */
static enx_status open_texts(climber *c, enx_report *report)
{
    char         path[PATH_BYTES_MAX];
    enx_trainer *trainer = NULL;
    const part   none = { .run = &c->runs[0], .checkpoint = "", .steps = 1 };
    enx_status   status = ENX_OK;
    c->recipe = enx_climb_recipe(c->climb, c->runs[0].trunk, c->sources);
    ENX_TRY(enx_dataset_open(&c->dataset, &c->recipe, c->o->data_folder, report));
    ENX_TRY(open_part(c, &none, &trainer, report));
    const enx_held_options held = { .folder = c->o->data_folder,
                                    .files = c->climb->held.files,
                                    .file_count = c->climb->held.files_count,
                                    .bytes = c->climb->held.kb * 1000,
                                    .context = c->climb->shape.context,
                                    .tokenizer = enx_trainer_tokenizer(trainer) };
    status = enx_held_open(&c->held, &held, report);
    enx_trainer_close(&trainer);
    ENX_TRY(status);
    ENX_TRY(path_of(c, path, "vocab", ".gguf", report));
    c->vocab_hash = hash_file(path, &status, report);
    c->unique_tokens = (double)enx_dataset_used_bytes(c->dataset) *
                       (double)enx_held_token_count(c->held) / (double)enx_held_bytes(c->held);
    return status;
}

static uint64_t key_of(climber *c, const run *r)
{
    const enx_recipe           recipe = enx_climb_recipe(c->climb, r->trunk, c->sources);
    const enx_recipe_model    *m = &recipe.model;
    const enx_recipe_schedule *t = &recipe.train;
    const uint64_t             whole[] = { m->width,
                                           m->layers,
                                           m->head_width,
                                           m->ffn,
                                           m->context,
                                           t->shards,
                                           t->shard_tokens,
                                           t->warmup,
                                           r->branch->steps,
                                           r->branch->fall_step,
                                           recipe.seed,
                                           c->vocab_hash,
                                           enx_dataset_hash(c->dataset),
                                           enx_held_hash(c->held) };
    const double real[] = { t->learning_rate, t->weight_decay, t->clip, recipe.unique_bytes };
    return fnv1a(fnv1a(UINT64_C(0xCBF29CE484222325), whole, sizeof whole), real, sizeof real);
}

static enx_status list_runs(climber *c, enx_report *report)
{
    const uint32_t limit = c->o->rung_count ? c->o->rung_count : c->climb->rungs_count;
    c->runs = ENX_MEM_NEW(run, RUNS_MAX);
    if (!c->runs) return ENX_FAIL(report, NOMEM, "no memory for a ladder's runs");
    for (uint32_t t = 0; t < c->trunk_count; t++)
        for (uint32_t b = 0; b < c->trunks[t].branch_count; b++) {
            run *r = &c->runs[c->run_count++];
            *r = (run){ .trunk = &c->trunks[t], .branch = &c->trunks[t].branches[b] };
            enx_climb_name(r->name, c->climb, r->trunk, r->branch);
            if (c->trunks[t].rung < limit) c->run_limit = c->run_count;
        }
    return ENX_OK;
}

static enx_status check_epochs(const climber *c, enx_report *report)
{
    double most = 0;
    for (uint32_t i = 0; i < c->run_limit; i++)
        most = fmax(most, c->runs[i].branch->tokens_per_param * (double)c->runs[i].trunk->params);
    if (c->climb->unique_kb > 0 || most <= ENX_CLIMB_EPOCHS_MAX * c->unique_tokens) return ENX_OK;
    return ENX_FAIL(report, INVALID,
                    "the longest run would read its text %.1f times, more than %g bend a ladder; "
                    "add text, or say unique_kb if a data wall is what you want to see",
                    most / c->unique_tokens, ENX_CLIMB_EPOCHS_MAX);
}

/* ---- What is done ---------------------------------------------------------------------------- */

static enx_status take_line(climber *c, const char *line, size_t size_bytes, enx_report *report)
{
    const uint64_t key = strtoull(line, NULL, 16);
    const char    *loss = line;
    for (int i = 0; i < LOSS_COLUMN && loss; i++) {
        loss = memchr(loss, ',', (size_t)(line + size_bytes - loss));
        if (loss) loss++;
    }
    for (uint32_t i = 0; i < c->run_count && loss && size_bytes < LINE_BYTES_MAX; i++) {
        run *r = &c->runs[i];
        if (r->key != key) continue;
        memcpy(r->line, line, size_bytes);
        r->loss = strtod(loss, NULL);
        return ENX_OK;
    }
    return ENX_FAIL(report, FORMAT,
                    "%s/runs.csv has a run that is none of this ladder (%.*s): the ladder or its "
                    "text has changed; name another folder by -o",
                    c->o->out_folder, size_bytes < 80 ? (int)size_bytes - 1 : 80, line);
}

static enx_status read_runs(climber *c, enx_report *report)
{
    char    path[PATH_BYTES_MAX];
    enx_buf csv;
    ENX_TRY(path_of(c, path, "runs", ".csv", report));
    if (!enx_file_exists(path)) return ENX_OK;
    enx_buf_init(&csv, CSV_BYTES_MAX);
    enx_status  status = enx_file_read(&csv, path, report);
    const char *at = enx_buf_text(&csv), *end = at + csv.size_bytes;
    if (status == ENX_OK && strncmp(at, header, strlen(header)) != 0)
        status = ENX_FAIL(report, FORMAT, "%s has other columns; name another folder by -o", path);
    else if (status == ENX_OK) at += strlen(header);
    while (status == ENX_OK && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end - 1;
        status = take_line(c, at, (size_t)(stop - at) + 1, report);
        at = stop + 1;
    }
    enx_buf_deinit(&csv);
    return status;
}

/* Once the sweep's rungs are done: are the rates fit for a ladder? */
static enx_status judge_sweep(const climber *c, enx_report *report)
{
    double   sum[ENX_CLIMB_SWEEP_RUNGS][ENX_CLIMB_FACTORS_MAX] = { { 0 } };
    unsigned count[ENX_CLIMB_SWEEP_RUNGS][ENX_CLIMB_FACTORS_MAX] = { { 0 } };
    for (uint32_t i = 0; i < c->run_count; i++) {
        const run *r = &c->runs[i];
        if (!r->trunk->is_sweep || r->branch != &r->trunk->branches[r->trunk->branch_count - 1])
            continue;
        if (!r->line[0]) return ENX_OK; /* not yet */
        unsigned f = 0;
        while (c->climb->train.sweep[f] != r->trunk->factor) f++;
        sum[r->trunk->rung][f] += r->loss;
        count[r->trunk->rung][f]++;
    }
    for (int rung = 0; rung < ENX_CLIMB_SWEEP_RUNGS; rung++)
        for (unsigned f = 0; f < c->climb->train.sweep_count; f++) sum[rung][f] /= count[rung][f];
    return enx_climb_judge(c->climb, sum, report);
}

static enx_status climb_all(climber *c, enx_report *report)
{
    ENX_TRY(enx_dir_make(c->o->out_folder, report));
    ENX_TRY(enx_climb_plan(c->climb, c->climb->rungs_count, c->trunks, &c->trunk_count, report));
    ENX_TRY(list_runs(c, report));
    ENX_TRY(open_texts(c, report));
    ENX_TRY(check_epochs(c, report));
    for (uint32_t i = 0; i < c->run_count; i++) c->runs[i].key = key_of(c, &c->runs[i]);
    ENX_TRY(read_runs(c, report));
    for (uint32_t i = 0; i < c->run_limit; i += c->runs[i].trunk->branch_count) {
        if (!c->runs[i].trunk->is_sweep) ENX_TRY(judge_sweep(c, report));
        ENX_TRY(run_trunk(c, &c->runs[i], c->runs[i].trunk->branch_count, report));
    }
    return judge_sweep(c, report);
}

enx_status enx_climb_run(const enx_climb_options *options, enx_report *report)
{
    climber *c = ENX_MEM_NEW(climber, 1);
    if (!c) return ENX_FAIL(report, NOMEM, "no memory for a ladder");
    c->o = options;
    c->climb = options->climb;
    const enx_status status = climb_all(c, report);
    enx_held_close(&c->held);
    enx_dataset_close(&c->dataset);
    enx_mem_free(c->runs);
    enx_mem_free(c);
    return status;
}
