/* SPDX-License-Identifier: Apache-2.0 */
/* cli_stream.c - the key of a stream, its lock and its history. */
#include "cli/cli_stream.h"

#include "plat/digest.h"
#include "plat/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { KEY_BYTES_MAX = 1 << 20 };

/* What of a job's file is about the class: the words, and what becomes of a failure. */
static const char *const class_keys[] = { "class",         "instruction", "advice",
                                          "input",         "schema",      "examples",
                                          "answer_tokens", "on_fail",     "specialty" };
/* Parts of a key, from the most to the least telling. */
static const char *const part_names[] = { "class",  "checks",  "models",
                                          "limits", "promise", "program" };

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- the key -------------------------------------------------------------------------------- */

/* A model by its bytes, or by where it is and what it is called there. */
static enx_status add_model(json_t *list, const enx_config *config, const enx_config_model *model,
                            const char *duty, enx_report *report)
{
    enx_file   file = { 0 };
    enx_buf    path;
    char       digest[ENX_DIGEST_TEXT] = "";
    enx_status status = ENX_OK;
    if (!enx_config_has(model)) return ENX_OK;
    json_t *out =
        json_pack("{s:s, s:s}", "duty", duty, "family", model->family ? model->family : "");
    enx_buf_init(&path, CLI_PATH_BYTES_MAX);
    if (model->remote) {
        const enx_config_remote *r = model->remote;
        const double chance = r->error_chance ? *r->error_chance : ENX_CONFIG_ERROR_CHANCE;
        json_object_update_new(out, json_pack("{s:s, s:s, s:s, s:I, s:f}", "api", r->api, "url",
                                              r->url, "model", r->model, "thinking",
                                              (json_int_t)r->thinking_tokens, "chance", chance));
    } else {
        status = enx_config_model_path(config, model, &path);
        if (status == ENX_OK) status = enx_file_map(&file, enx_buf_text(&path), report);
        if (status == ENX_OK) status = enx_digest(digest, file.bytes, file.size_bytes, report);
        enx_file_unmap(&file);
        json_object_set_new(out, "sha256", json_string(digest));
    }
    json_t *specialty = json_array();
    for (unsigned i = 0; i < model->specialty_count; i++)
        json_array_append_new(specialty, json_string(model->specialty[i]));
    json_object_set_new(out, "specialty", specialty);
    json_array_append_new(list, out);
    enx_buf_deinit(&path);
    return status;
}

static enx_status models_of(json_t *list, const enx_config *config, enx_report *report)
{
    ENX_TRY(add_model(list, config, &config->lead, "lead", report));
    ENX_TRY(add_model(list, config, &config->scout, "scout", report));
    ENX_TRY(add_model(list, config, &config->verifier, "verifier", report));
    for (unsigned i = 0; i < config->worker_count; i++)
        ENX_TRY(add_model(list, config, &config->workers[i], "worker", report));
    return ENX_OK;
}

static json_t *class_of(const cli_recipe *recipe)
{
    json_t *out = json_object();
    for (size_t i = 0; recipe && i < COUNT(class_keys); i++)
        json_object_set(out, class_keys[i], json_object_get(recipe->json, class_keys[i]));
    if (!recipe) json_object_set_new(out, "class", json_string("restore"));
    return out;
}

static enx_status parts_of(json_t **out, const cli_stream_options *o, enx_report *report)
{
    json_t *limits = json_array(), *models = json_array();
    json_t *checks = o->recipe ? json_object_get(o->recipe->json, "checks") : NULL;
    for (int i = 0; i < ENX_CONFIG_LEVELS; i++)
        json_array_append_new(limits, json_real(o->config->escalate_above[i]));
    *out = json_pack("{s:o, s:O?, s:o, s:o, s:[f, f], s:[s, i]}", "class", class_of(o->recipe),
                     "checks", checks, "models", models, "limits", limits, "promise", o->accuracy,
                     o->confidence, "program", ENX_VERSION, ENX_STREAM_VERSION);
    return models_of(models, o->config, report);
}

/* The first part that is not as it was in the last epoch. */
static void find_change(char out[32], const json_t *parts, const char *before)
{
    json_t *last = json_loads(before, 0, NULL);
    for (size_t i = 0; last && i < COUNT(part_names); i++) {
        const json_t *now = json_object_get(parts, part_names[i]);
        const json_t *then = json_object_get(last, part_names[i]);
        if ((!now && !then) || json_equal(now, then)) continue;
        snprintf(out, 32, "%s", part_names[i]);
        break;
    }
    json_decref(last);
}

static int put(const char *bytes, size_t size_bytes, void *out)
{
    return enx_buf_append(out, bytes, size_bytes) == ENX_OK ? 0 : -1;
}

/* Find or make it in the store. */
static enx_status find_stream(cli_stream *out, enx_store *store, const cli_stream_options *o,
                              const json_t *parts, uint64_t *seed, enx_report *report)
{
    char    key[ENX_DIGEST_TEXT];
    enx_buf text, before;
    enx_buf_init(&text, KEY_BYTES_MAX);
    enx_buf_init(&before, KEY_BYTES_MAX);
    enx_status status = ENX_OK;
    if (json_dump_callback(parts, put, &text, JSON_COMPACT | JSON_SORT_KEYS) != 0)
        status = ENX_FAIL(report, LIMIT, "the class has more than %d bytes", KEY_BYTES_MAX);
    if (status == ENX_OK) status = enx_digest(key, enx_buf_text(&text), text.size_bytes, report);
    enx_store_stream row = { .key = key,
                             .class_name = o->recipe ? o->recipe->task_class.name : "restore",
                             .parts = enx_buf_text(&text),
                             .seed = o->seed,
                             .opened_us = o->now_us,
                             .before = &before };
    if (status == ENX_OK) status = enx_store_stream_open(store, &row, report);
    if (status == ENX_OK && row.is_new) find_change(out->changed, parts, enx_buf_text(&before));
    out->id = row.id;
    out->epoch = row.epoch;
    *seed = row.seed;
    enx_buf_deinit(&before);
    enx_buf_deinit(&text);
    return status;
}

/* ---- its history ---------------------------------------------------------------------------- */

static enx_status tell(void *user, const enx_store_stream_event *event, enx_report *report)
{
    enx_stream       *stream = user;
    enx_stream_ticket ticket = event->ticket;
    const uint64_t    answers = enx_stream_answers(stream);
    if (!event->is_offer && ticket.offer > 0 && ticket.offer <= answers &&
        ticket.verdict != ENX_STREAM_DELIVER) {
        enx_stream_label(stream, &ticket, event->is_wrong);
        return ENX_OK;
    }
    if (event->is_offer && ticket.offer == answers + 1 &&
        enx_stream_offer(stream, event->ticket.score, &ticket) == event->ticket.verdict)
        return ENX_OK;
    return ENX_FAIL(report, FORMAT,
                    "event %llu of the class's certificate cannot follow: the store is damaged; "
                    "--certificate batch does without",
                    (unsigned long long)enx_stream_events(stream) + 1);
}

static enx_status lock(cli_stream *out, enx_report *report)
{
    const enx_status status = cli_lock_take("streams.lock", out->id, &out->lock_fd, report);
    out->has_lock = status == ENX_OK;
    if (status != ENX_AGAIN) return status;
    return ENX_FAIL(report, AGAIN,
                    "another job works on this class under the same certificate: wait for it, or "
                    "give this one its own by --certificate batch");
}

enx_status cli_stream_open(cli_stream *out, enx_store *store, const cli_stream_options *options,
                           enx_report *report)
{
    cli_stream         opened = { 0 };
    cli_stream_options o = *options;
    json_t            *parts = NULL;
    uint64_t           seed = 0;
    if (o.confidence == 0) o.confidence = .95;
    enx_status status = parts_of(&parts, &o, report);
    if (status == ENX_OK) status = find_stream(&opened, store, &o, parts, &seed, report);
    json_decref(parts);
    if (status == ENX_OK) status = lock(&opened, report);
    const enx_stream_options how = { .alpha = 1 - o.accuracy,
                                     .delta = 1 - o.confidence,
                                     .seed = seed };
    if (status == ENX_OK) status = enx_stream_open(&opened.stream, &how, report);
    if (status == ENX_OK)
        status = enx_store_stream_each(store, opened.id, tell, opened.stream, report);
    if (status == ENX_OK) *out = opened;
    else cli_stream_close(&opened);
    return status;
}

void cli_stream_close(cli_stream *stream)
{
    if (stream->has_lock) close(stream->lock_fd);
    stream->has_lock = false;
    enx_stream_close(&stream->stream);
}
