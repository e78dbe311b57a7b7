/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - keys with budgets and rates.
 *
 * Rates are buckets that hold one minute's worth: an idle key may send that many at once. */
#include "serve/keys.h"

#include "backend/yaml.h"
#include "base/check.h"
#include "base/mem.h"
#include "plat/file.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { US_PER_MINUTE = 60000000, US_PER_S = 1000000 };
static const double nano_per_usd = 1e9;

struct enx_key {
    char    *name, *key;
    double  *usd; /* NULL: no budget */
    uint32_t requests_per_min;
    uint64_t tokens_per_min;
    bool     all_jobs;
    /* not in the file */
    uint64_t spent_usd_nano, held_usd_nano;
    double   requests, tokens; /* that are left in the buckets */
    uint64_t filled_us;
};

typedef struct yaml_keys {
    enx_key *keys;
    unsigned keys_count;
} yaml_keys;

struct enx_keys {
    yaml_keys      *yaml;
    pthread_mutex_t lock;
    char           *spent_path; /* owned */
    bool            is_changed;
};

static const cyaml_schema_field_t key_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, enx_key, name, 1, 63),
    CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER, enx_key, key, 1, ENX_KEY_BYTES_MAX),
    CYAML_FIELD_FLOAT_PTR("usd", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, enx_key, usd),
    CYAML_FIELD_UINT("requests_per_min", CYAML_FLAG_OPTIONAL, enx_key, requests_per_min),
    CYAML_FIELD_UINT("tokens_per_min", CYAML_FLAG_OPTIONAL, enx_key, tokens_per_min),
    CYAML_FIELD_BOOL("all_jobs", CYAML_FLAG_OPTIONAL, enx_key, all_jobs),
    CYAML_FIELD_END
};
static const cyaml_schema_value_t key_schema = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, enx_key,
                                                                     key_fields) };
static const cyaml_schema_field_t keys_fields[] = {
    CYAML_FIELD_SEQUENCE("keys", CYAML_FLAG_POINTER, yaml_keys, keys, &key_schema, 1, ENX_KEYS_MAX),
    CYAML_FIELD_END
};
static const cyaml_schema_value_t keys_schema = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, yaml_keys,
                                                                      keys_fields) };

static enx_status check_keys(enx_keys *keys, const char *path, enx_report *report)
{
    for (unsigned i = 0; i < keys->yaml->keys_count; i++) {
        enx_key *k = &keys->yaml->keys[i];
        if (strlen(k->key) < ENX_KEY_BYTES_MIN)
            return ENX_FAIL(report, INVALID, "%s: the key of %s is shorter than %d characters",
                            path, k->name, ENX_KEY_BYTES_MIN);
        if (k->usd && !(*k->usd >= 0 && *k->usd < 1e9))
            return ENX_FAIL(report, INVALID, "%s: usd of %s: dollars, from 0 on", path, k->name);
        for (unsigned j = 0; j < i; j++)
            if (strcmp(keys->yaml->keys[j].key, k->key) == 0 ||
                strcmp(keys->yaml->keys[j].name, k->name) == 0)
                return ENX_FAIL(report, INVALID, "%s: name or key of %s is there twice", path,
                                k->name);
        k->requests = k->requests_per_min;
        k->tokens = (double)k->tokens_per_min;
    }
    return ENX_OK;
}

static enx_status read_spent(enx_keys *keys, const char *spent_path, enx_report *report)
{
    enx_buf text;
    if (!spent_path) return ENX_OK;
    keys->spent_path = ENX_MEM_NEW(char, strlen(spent_path) + 1);
    if (!keys->spent_path) return ENX_FAIL(report, NOMEM, "no memory for the keys");
    memcpy(keys->spent_path, spent_path, strlen(spent_path));
    if (!enx_file_exists(spent_path)) return ENX_OK;
    enx_buf_init(&text, ENX_KEYS_BYTES_MAX);
    enx_status status = enx_file_read(&text, spent_path, report);
    json_t    *json = status == ENX_OK ? json_loads(enx_buf_text(&text), 0, NULL) : NULL;
    enx_buf_deinit(&text);
    if (status != ENX_OK) return status;
    if (!json_is_object(json))
        return ENX_FAIL(report, FORMAT, "%s: no JSON object; what keys have spent is not known",
                        spent_path);
    for (unsigned i = 0; i < keys->yaml->keys_count; i++) {
        enx_key *k = &keys->yaml->keys[i];
        k->spent_usd_nano = (uint64_t)json_integer_value(json_object_get(json, k->name));
    }
    json_decref(json);
    return ENX_OK;
}

enx_status enx_keys_open(enx_keys **out, const enx_buf *text, const char *path,
                         const char *spent_path, enx_report *report)
{
    static const char *const names[] = {
        "keys", "name", "key", "usd", "requests_per_min", "tokens_per_min", "all_jobs"
    };
    enx_keys *keys = ENX_MEM_NEW(enx_keys, 1);
    void     *data = NULL;
    if (!keys) return ENX_FAIL(report, NOMEM, "no memory for the keys");
    pthread_mutex_init(&keys->lock, NULL);
    enx_status status =
        enx_yaml_load(&data, &keys_schema, text, path, names, sizeof names / sizeof *names, report);
    keys->yaml = data;
    if (status == ENX_OK) status = check_keys(keys, path, report);
    if (status == ENX_OK) status = read_spent(keys, spent_path, report);
    if (status != ENX_OK) {
        enx_keys_close(&keys);
        return status;
    }
    *out = keys;
    return ENX_OK;
}

void enx_keys_close(enx_keys **keys)
{
    if (!*keys) return;
    enx_yaml_free(&keys_schema, (*keys)->yaml);
    enx_mem_free((*keys)->spent_path);
    pthread_mutex_destroy(&(*keys)->lock);
    enx_mem_free(*keys);
    *keys = NULL;
}

/* Every key is looked at to its end, so that time tells nothing about how much of one is right. */
static bool is_same(const char *a, const char *b, size_t b_size)
{
    const size_t  a_size = strlen(a);
    unsigned char differs = (unsigned char)(a_size != b_size);
    for (size_t i = 0; i < b_size; i++)
        differs |= (unsigned char)(a[a_size ? i % a_size : 0] ^ b[i]);
    return differs == 0;
}

const enx_key *enx_keys_find(const enx_keys *keys, const char *text)
{
    const enx_key *found = NULL;
    const size_t   size = text ? strnlen(text, ENX_KEY_BYTES_MAX + 1) : 0;
    for (unsigned i = 0; i < keys->yaml->keys_count; i++)
        if (text && is_same(keys->yaml->keys[i].key, text, size)) found = &keys->yaml->keys[i];
    return found;
}

const enx_key *enx_keys_named(const enx_keys *keys, const char *name)
{
    for (unsigned i = 0; i < keys->yaml->keys_count; i++)
        if (strcmp(keys->yaml->keys[i].name, name) == 0) return &keys->yaml->keys[i];
    return NULL;
}

const char *enx_key_name(const enx_key *key) { return key->name; }

bool enx_key_sees_all_jobs(const enx_key *key) { return key->all_jobs; }

static void fill(enx_key *k, uint64_t now_us)
{
    const double minutes = k->filled_us ? (double)(now_us - k->filled_us) / US_PER_MINUTE : 0;
    k->filled_us = now_us;
    k->requests = fmin(k->requests + minutes * k->requests_per_min, k->requests_per_min);
    k->tokens = fmin(k->tokens + minutes * (double)k->tokens_per_min, (double)k->tokens_per_min);
}

/* Seconds until a bucket that gains `per_min` holds `want`; what never fits asks for a full one. */
static uint32_t wait_for(double have, double want, double per_min)
{
    const double most = want < per_min ? want : per_min;
    return have >= most ? 0 : (uint32_t)ceil((most - have) / per_min * US_PER_MINUTE / US_PER_S);
}

static enx_status reserve(enx_key *k, uint64_t usd_nano, uint64_t tokens, uint32_t *wait_s,
                          enx_report *report)
{
    const double usd = k->usd ? *k->usd : 0;
    if (k->usd && (double)k->spent_usd_nano + (double)k->held_usd_nano + (double)usd_nano >
                      usd * nano_per_usd)
        return ENX_FAIL(report, BUDGET,
                        "the budget of this key, %g dollars, does not reach for the request", usd);
    if (k->requests_per_min) *wait_s = wait_for(k->requests, 1, k->requests_per_min);
    if (*wait_s == 0 && k->tokens_per_min)
        *wait_s = wait_for(k->tokens, (double)tokens, (double)k->tokens_per_min);
    if (*wait_s > 0)
        return ENX_FAIL(report, AGAIN, "this key asks faster than it may; try again in %u s",
                        *wait_s);
    k->requests -= 1;
    k->tokens -= (double)tokens;
    k->held_usd_nano += usd_nano;
    return ENX_OK;
}

enx_status enx_keys_reserve(enx_keys *keys, const enx_key *key, uint64_t now_us, uint64_t usd_nano,
                            uint64_t tokens, uint32_t *wait_s, enx_report *report)
{
    enx_key *k = (enx_key *)(uintptr_t)key;
    *wait_s = 0;
    pthread_mutex_lock(&keys->lock);
    fill(k, now_us);
    const enx_status status = reserve(k, usd_nano, tokens, wait_s, report);
    pthread_mutex_unlock(&keys->lock);
    return status;
}

void enx_keys_settle(enx_keys *keys, const enx_key *key, uint64_t reserved_usd_nano,
                     uint64_t reserved_tokens, uint64_t usd_nano, uint64_t tokens)
{
    enx_key *k = (enx_key *)(uintptr_t)key;
    pthread_mutex_lock(&keys->lock);
    ENX_CHECK(k->held_usd_nano >= reserved_usd_nano);
    k->held_usd_nano -= reserved_usd_nano;
    k->spent_usd_nano += usd_nano;
    k->tokens += (double)reserved_tokens - (double)tokens;
    keys->is_changed |= usd_nano > 0;
    pthread_mutex_unlock(&keys->lock);
}

uint64_t enx_keys_spent_usd_nano(enx_keys *keys, const enx_key *key)
{
    pthread_mutex_lock(&keys->lock);
    const uint64_t spent = key->spent_usd_nano;
    pthread_mutex_unlock(&keys->lock);
    return spent;
}

uint64_t enx_keys_left_usd_nano(enx_keys *keys, const enx_key *key)
{
    if (!key->usd) return UINT64_MAX;
    pthread_mutex_lock(&keys->lock);
    const double left =
        *key->usd * nano_per_usd - (double)key->spent_usd_nano - (double)key->held_usd_nano;
    pthread_mutex_unlock(&keys->lock);
    return left > 0 ? (uint64_t)left : 0;
}

enx_status enx_keys_save(enx_keys *keys, enx_report *report)
{
    json_t *json = json_object();
    pthread_mutex_lock(&keys->lock);
    const bool is_due = keys->is_changed && keys->spent_path;
    for (unsigned i = 0; is_due && i < keys->yaml->keys_count; i++)
        json_object_set_new(json, keys->yaml->keys[i].name,
                            json_integer((json_int_t)keys->yaml->keys[i].spent_usd_nano));
    keys->is_changed = false;
    pthread_mutex_unlock(&keys->lock);
    enx_status status = ENX_OK;
    char      *text = is_due ? json_dumps(json, JSON_INDENT(1)) : NULL;
    if (text) status = enx_file_write(keys->spent_path, text, strlen(text), report);
    else if (is_due) status = ENX_FAIL(report, NOMEM, "no memory for what keys have spent");
    json_free_t release = NULL;
    json_get_alloc_funcs(NULL, &release);
    if (text) release(text);
    json_decref(json);
    if (status == ENX_OK) return status;
    pthread_mutex_lock(&keys->lock);
    keys->is_changed = true; /* it is still to be written */
    pthread_mutex_unlock(&keys->lock);
    return status;
}
