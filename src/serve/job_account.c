/* SPDX-License-Identifier: Apache-2.0 */
/* job_account.c - accounts in a sorted array, each with its file.
 *
 * (1) The array is in the order of the jobs' numbers.
 * (2) charged_usd_nano and charged_tokens are the sums of all that the owner's key was charged. */
#include "serve/job_account.h"

#include "backend/api_json.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/file.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES_MAX = 64, PATH_BYTES_MAX = 4400, FILE_BYTES_MAX = 4096, FIRST_CAPACITY = 16 };
static const double nano_per_usd = 1e9;

typedef struct account {
    uint64_t id;
    char     owner[NAME_BYTES_MAX];
    uint64_t held_usd_nano; /* not kept: what the running job may still cost */
    uint64_t charged_usd_nano, charged_tokens;
    bool     is_open;
} account;

struct enx_job_accounts {
    const char *folder;
    enx_keys   *keys;
    account    *items;
    size_t      count, capacity;
};

/* ---- The array ------------------------------------------------------------------------------ */

/* Index of the first account whose number is not below `id`. */
static size_t find_place(const enx_job_accounts *a, uint64_t id)
{
    size_t low = 0, high = a->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (a->items[middle].id < id) low = middle + 1;
        else high = middle;
    }
    return low;
}

static account *find(const enx_job_accounts *a, uint64_t id)
{
    const size_t place = find_place(a, id);
    return place < a->count && a->items[place].id == id ? &a->items[place] : NULL;
}

static enx_status insert(enx_job_accounts *a, const account *item, enx_report *report)
{
    const size_t place = find_place(a, item->id); /* (1) */
    if (a->count == ENX_JOB_ACCOUNTS_MAX)
        return ENX_FAIL(report, LIMIT, "%d jobs have an owner; more are not kept",
                        ENX_JOB_ACCOUNTS_MAX);
    if (a->count == a->capacity) {
        const size_t capacity = a->capacity ? 2 * a->capacity : FIRST_CAPACITY;
        account     *items = ENX_MEM_NEW(account, capacity);
        if (!items) return ENX_FAIL(report, NOMEM, "no memory for the owners of jobs");
        if (a->count) memcpy(items, a->items, a->count * sizeof *items);
        enx_mem_free(a->items);
        a->items = items;
        a->capacity = capacity;
    }
    memmove(&a->items[place + 1], &a->items[place], (a->count - place) * sizeof *a->items);
    a->items[place] = *item;
    a->count++;
    return ENX_OK;
}

/* ---- Files ---------------------------------------------------------------------------------- */

static enx_status save(const enx_job_accounts *a, const account *item, enx_report *report)
{
    char    path[PATH_BYTES_MAX];
    enx_buf text;
    enx_buf_init(&text, FILE_BYTES_MAX);
    snprintf(path, sizeof path, "%s/owner-%" PRIu64 ".json", a->folder, item->id);
    enx_status status =
        enx_api_json_append(&text,
                            json_pack("{s:s, s:I, s:I, s:b}", "key", item->owner, "usd_nano",
                                      (json_int_t)item->charged_usd_nano, "tokens",
                                      (json_int_t)item->charged_tokens, "open", item->is_open),
                            report);
    if (status == ENX_OK)
        status = enx_file_write(path, enx_buf_text(&text), text.size_bytes, report);
    enx_buf_deinit(&text);
    return status;
}

/* A file that cannot be read is nobody's: its job is shown to keys that see all only. */
static enx_status load(enx_job_accounts *a, const char *name, enx_report *report)
{
    char    path[PATH_BYTES_MAX];
    int     end = 0;
    account item = { 0 };
    enx_buf text;
    json_t *json = NULL;
    if (sscanf(name, "owner-%" SCNu64 ".json%n", &item.id, &end) != 1 || name[end] || !end)
        return ENX_OK;
    snprintf(path, sizeof path, "%s/%s", a->folder, name);
    enx_buf_init(&text, FILE_BYTES_MAX);
    if (enx_file_read(&text, path, NULL) == ENX_OK)
        (void)!enx_api_json_load(&json, enx_buf_text(&text), text.size_bytes, NULL);
    enx_buf_deinit(&text);
    const char *owner = json_string_value(json_object_get(json, "key"));
    snprintf(item.owner, sizeof item.owner, "%s", owner ? owner : "");
    item.charged_usd_nano = (uint64_t)json_integer_value(json_object_get(json, "usd_nano"));
    item.charged_tokens = (uint64_t)json_integer_value(json_object_get(json, "tokens"));
    item.is_open = json_is_true(json_object_get(json, "open"));
    json_decref(json);
    return insert(a, &item, report);
}

enx_status enx_job_accounts_open(enx_job_accounts **out, const char *folder, enx_keys *keys,
                                 enx_report *report)
{
    enx_job_accounts *a = ENX_MEM_NEW(enx_job_accounts, 1);
    if (!a) return ENX_FAIL(report, NOMEM, "no memory for the owners of jobs");
    *a = (enx_job_accounts){ .folder = folder, .keys = keys };
    DIR       *all = opendir(folder);
    enx_status status = ENX_OK;
    for (const struct dirent *entry; status == ENX_OK && all && (entry = readdir(all)) != NULL;)
        status = load(a, entry->d_name, report);
    if (all) closedir(all);
    if (status == ENX_OK) *out = a;
    else enx_job_accounts_close(&a);
    return status;
}

void enx_job_accounts_close(enx_job_accounts **accounts)
{
    enx_job_accounts *a = *accounts;
    *accounts = NULL;
    if (!a) return;
    for (size_t i = 0; i < a->count; i++)
        if (a->keys && a->items[i].held_usd_nano > 0)
            enx_job_accounts_give_back(a, enx_keys_named(a->keys, a->items[i].owner),
                                       a->items[i].held_usd_nano);
    enx_mem_free(a->items);
    enx_mem_free(a);
}

/* ---- Owners and money ----------------------------------------------------------------------- */

bool enx_job_accounts_shows(const enx_job_accounts *a, uint64_t id, const enx_key *key)
{
    if (!a->keys) return true;
    if (!key) return false;
    const account *item = find(a, id);
    return enx_key_sees_all_jobs(key) || (item && strcmp(item->owner, enx_key_name(key)) == 0);
}

const enx_key *enx_job_accounts_payer(const enx_job_accounts *a, uint64_t id, const enx_key *asker)
{
    const account *item = a->keys ? find(a, id) : NULL;
    const enx_key *owner = item ? enx_keys_named(a->keys, item->owner) : NULL;
    return owner ? owner : asker;
}

enx_status enx_job_accounts_hold(enx_job_accounts *a, const enx_key *key, uint64_t charged_usd_nano,
                                 double *budget_usd, uint64_t *held_usd_nano, uint32_t *wait_s,
                                 enx_report *report)
{
    *wait_s = 0;
    *held_usd_nano = 0;
    if (!a->keys || !key) return ENX_OK;
    const uint64_t left = enx_keys_left_usd_nano(a->keys, key);
    const uint64_t cap = (uint64_t)llround(*budget_usd * nano_per_usd);
    const uint64_t share = left < UINT64_MAX ? left - left / ENX_JOB_SHARE : 0;
    const uint64_t most = cap == 0 ? share : cap > charged_usd_nano ? cap - charged_usd_nano : 0;
    if (left == 0) return ENX_FAIL(report, BUDGET, "the budget of this key is spent or held");
    const enx_status status =
        enx_keys_reserve(a->keys, key, enx_clock_monotonic_us(), most, 0, wait_s, report);
    if (status == ENX_AGAIN && report) report->status = ENX_BUDGET; /* the client's doing: 429 */
    if (status != ENX_OK) return ENX_BUDGET;
    *held_usd_nano = most;
    if (cap == 0 && share > 0) *budget_usd = (double)(charged_usd_nano + share) / nano_per_usd;
    return ENX_OK;
}

void enx_job_accounts_give_back(enx_job_accounts *a, const enx_key *key, uint64_t held_usd_nano)
{
    if (a->keys && key) enx_keys_settle(a->keys, key, held_usd_nano, 0, 0, 0);
}

enx_status enx_job_accounts_set(enx_job_accounts *a, uint64_t id, const enx_key *key,
                                uint64_t held_usd_nano, enx_report *report)
{
    if (!a->keys || !key) return ENX_OK;
    account *item = find(a, id);
    if (!item) {
        account fresh = { .id = id };
        snprintf(fresh.owner, sizeof fresh.owner, "%s", enx_key_name(key));
        ENX_TRY(insert(a, &fresh, report));
        item = find(a, id);
    }
    item->is_open = true;
    ENX_TRY(save(a, item, report));
    item->held_usd_nano += held_usd_nano;
    return ENX_OK;
}

void enx_job_accounts_charge(enx_job_accounts *a, uint64_t id, uint64_t usd_nano, uint64_t tokens,
                             bool is_over)
{
    account       *item = find(a, id);
    const enx_key *key = item && a->keys ? enx_keys_named(a->keys, item->owner) : NULL;
    if (!item || !item->is_open) return;
    const uint64_t usd = usd_nano > item->charged_usd_nano ? usd_nano - item->charged_usd_nano : 0;
    const uint64_t more = tokens > item->charged_tokens ? tokens - item->charged_tokens : 0;
    const uint64_t freed = is_over || usd > item->held_usd_nano ? item->held_usd_nano : usd;
    if (key) enx_keys_settle(a->keys, key, freed, 0, usd, more);
    item->held_usd_nano -= freed;
    item->charged_usd_nano += usd; /* (2) */
    item->charged_tokens += more;
    item->is_open = !is_over;
    if (usd > 0 || more > 0 || is_over) (void)!save(a, item, NULL);
}

uint64_t enx_job_accounts_charged(const enx_job_accounts *a, uint64_t id)
{
    const account *item = find(a, id);
    return item ? item->charged_usd_nano : 0;
}

uint64_t enx_job_accounts_open_from(const enx_job_accounts *a, uint64_t from)
{
    for (size_t i = find_place(a, from); i < a->count; i++)
        if (a->items[i].is_open) return a->items[i].id;
    return 0;
}
