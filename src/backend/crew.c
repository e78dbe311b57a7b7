/* SPDX-License-Identifier: Apache-2.0 */
/* crew.c - lasting words of a broker, collected. */
#include "backend/crew.h"

#include "backend/queue_wire.h"

#include <string.h>

typedef struct crew {
    enx_broker *broker;
    json_t     *workers, *models, *barred;
} crew;

/* Words of others may be no UTF-8. */
static json_t *text_json(const char *text, size_t size_bytes)
{
    json_t *json = json_stringn(text, size_bytes);
    return json ? json : json_string("?");
}

static const char *last_word(const char *subject)
{
    const char *dot = strrchr(subject, '.');
    return dot ? dot + 1 : subject;
}

/* A worker's own words: shown, never believed. */
static void take_worker(void *user, const char *subject, const char *bytes, size_t size_bytes)
{
    crew   *l = user;
    json_t *word = json_loadb(bytes, size_bytes, 0, NULL);
    if (!json_is_object(word)) {
        json_decref(word);
        return;
    }
    json_object_set_new(word, "worker", text_json(last_word(subject), strlen(last_word(subject))));
    json_array_append_new(l->workers, word);
}

static void take_model(void *user, const char *subject, const char *bytes, size_t size_bytes)
{
    crew   *l = user;
    json_t *word = json_loadb(bytes, size_bytes, 0, NULL);
    if (!json_is_object(word) || !enx_wire_is_digest(last_word(subject))) {
        json_decref(word);
        return;
    }
    json_object_set_new(word, "digest", json_string(last_word(subject)));
    json_array_append_new(l->models, word);
}

static void take_barred(void *user, const char *subject, const char *bytes, size_t size_bytes)
{
    crew       *l = user;
    const char *name = last_word(subject);
    json_array_append_new(l->barred,
                          json_pack("{s:o, s:o}", "worker", text_json(name, strlen(name)), "state",
                                    text_json(bytes, size_bytes)));
}

static enx_status take_depths(crew *l, enx_report *report)
{
    size_t  i;
    json_t *model;
    json_array_foreach (l->models, i, model) {
        uint64_t    waiting = 0, running = 0;
        const char *digest = json_string_value(json_object_get(model, "digest"));
        ENX_TRY(enx_broker_depth(l->broker, digest, &waiting, &running, report));
        json_object_set_new(model, "waiting", json_integer((json_int_t)waiting));
        json_object_set_new(model, "running", json_integer((json_int_t)running));
    }
    return ENX_OK;
}

static enx_status look(crew *l, enx_report *report)
{
    ENX_TRY(enx_broker_words(l->broker, "here", "here.>", take_worker, l, report));
    ENX_TRY(enx_broker_words(l->broker, "model", "model.>", take_model, l, report));
    ENX_TRY(enx_broker_words(l->broker, "model", "barred.>", take_barred, l, report));
    return take_depths(l, report);
}

enx_status enx_crew_look(enx_broker *broker, json_t **out, enx_report *report)
{
    crew    l = { broker, json_array(), json_array(), json_array() };
    json_t *json =
        json_pack("{s:o, s:o, s:o}", "workers", l.workers, "models", l.models, "barred", l.barred);
    enx_status status = json ? look(&l, report) : ENX_FAIL(report, NOMEM, "no memory for workers");
    if (status == ENX_OK) *out = json;
    else json_decref(json);
    return status;
}
