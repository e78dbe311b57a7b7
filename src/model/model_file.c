/* SPDX-License-Identifier: Apache-2.0 */
/* model_file.c - one file, or parts joined into one directory of tensors. */
#include "model/model_file.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES_MAX = 1 << 13, SUFFIX_BYTES = sizeof "-00001-of-00002.gguf" - 1 };

typedef struct split_keys {
    uint64_t number, count, tensor_count; /* of a file in one part: 0, 1, any */
} split_keys;

static enx_status read_split(split_keys *out, const enx_gguf *gguf, enx_report *report)
{
    *out = (split_keys){ .count = 1, .tensor_count = enx_gguf_tensor_count(gguf) };
    if (!enx_gguf_find(gguf, "split.count", NULL)) return ENX_OK;
    ENX_TRY(enx_gguf_read_u64(gguf, "split.count", &out->count, report));
    ENX_TRY(enx_gguf_read_u64(gguf, "split.no", &out->number, report));
    ENX_TRY(enx_gguf_read_u64(gguf, "split.tensors.count", &out->tensor_count, report));
    if (out->count == 0 || out->number >= out->count)
        return ENX_FAIL(report, FORMAT, "split.no %llu of split.count %llu",
                        (unsigned long long)out->number, (unsigned long long)out->count);
    if (out->count > ENX_MODEL_FILE_PARTS_MAX)
        return ENX_FAIL(report, LIMIT, "%llu parts, at most %d work",
                        (unsigned long long)out->count, ENX_MODEL_FILE_PARTS_MAX);
    return ENX_OK;
}

/* Put the name of part `number` (from 0) in the place of the first part's. */
static enx_status name_part(enx_buf *out, const char *first, uint64_t number, uint64_t count,
                            enx_report *report)
{
    char         suffix[64];
    const size_t size_bytes = strlen(first);
    snprintf(suffix, sizeof suffix, "-%05llu-of-%05llu.gguf", 1ULL, (unsigned long long)count);
    if (size_bytes <= SUFFIX_BYTES || strcmp(first + size_bytes - SUFFIX_BYTES, suffix) != 0)
        return ENX_FAIL(report, FORMAT,
                        "this is the first of %llu parts, but its name does not end in %s, so that "
                        "the others cannot be found; rename the parts",
                        (unsigned long long)count, suffix);
    snprintf(suffix, sizeof suffix, "-%05llu-of-%05llu.gguf", (unsigned long long)number + 1,
             (unsigned long long)count);
    enx_buf_clear(out);
    enx_status status = enx_buf_append(out, first, size_bytes - SUFFIX_BYTES);
    if (status == ENX_OK) status = enx_buf_append(out, suffix, SUFFIX_BYTES);
    return status == ENX_OK ? ENX_OK : ENX_FAIL(report, LIMIT, "the path is too long");
}

static enx_status open_part(enx_model_file *file, enx_gguf **out, const char *path,
                            enx_report *report)
{
    enx_file *to = &file->parts[file->part_count];
    ENX_TRY(enx_file_map(to, path, report));
    file->part_count++;
    file->size_bytes += to->size_bytes;
    const enx_status status = enx_gguf_open(out, to->bytes, to->size_bytes, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    return status;
}

static enx_status check_part(const enx_gguf *part, const split_keys *first, uint64_t number,
                             enx_report *report)
{
    split_keys keys;
    ENX_TRY(read_split(&keys, part, report));
    if (keys.number != number || keys.count != first->count ||
        keys.tensor_count != first->tensor_count)
        return ENX_FAIL(report, FORMAT,
                        "part %llu of %llu with %llu tensors, but part %llu of %llu with %llu is "
                        "wanted; the parts are not of one model",
                        (unsigned long long)keys.number + 1, (unsigned long long)keys.count,
                        (unsigned long long)keys.tensor_count, (unsigned long long)number + 1,
                        (unsigned long long)first->count, (unsigned long long)first->tensor_count);
    return ENX_OK;
}

static enx_status open_others(enx_model_file *file, enx_gguf **others, const char *path,
                              const split_keys *keys, enx_report *report)
{
    enx_buf    name;
    enx_status status = ENX_OK;
    enx_buf_init(&name, PATH_BYTES_MAX);
    for (uint64_t i = 1; i < keys->count && status == ENX_OK; i++) {
        status = name_part(&name, path, i, keys->count, report);
        if (status != ENX_OK) {
            enx_report_wrap(report, "%s", path);
            break;
        }
        status = open_part(file, &others[i - 1], enx_buf_text(&name), report);
        if (status != ENX_OK) break;
        status = check_part(others[i - 1], keys, i, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", enx_buf_text(&name));
    }
    enx_buf_deinit(&name);
    return status;
}

static enx_status join_parts(enx_model_file *file, const char *path, const split_keys *keys,
                             enx_report *report)
{
    enx_gguf **others = ENX_MEM_NEW(enx_gguf *, keys->count - 1);
    if (!others) return ENX_FAIL(report, NOMEM, "%s: no memory for its parts", path);
    enx_status status = open_others(file, others, path, keys, report);
    if (status == ENX_OK) {
        status = enx_gguf_join(file->gguf, others, (uint32_t)keys->count - 1, report);
        if (status == ENX_OK && enx_gguf_tensor_count(file->gguf) != keys->tensor_count)
            status = ENX_FAIL(report, FORMAT, "the parts hold %llu tensors, not %llu",
                              (unsigned long long)enx_gguf_tensor_count(file->gguf),
                              (unsigned long long)keys->tensor_count);
        if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    }
    for (uint64_t i = 0; i + 1 < keys->count; i++) enx_gguf_close(&others[i]);
    enx_mem_free(others);
    return status;
}

enx_status enx_model_file_open(enx_model_file *out, const char *path, enx_report *report)
{
    ENX_CHECK(out && path);
    split_keys     keys;
    enx_model_file file = { .parts = ENX_MEM_NEW(enx_file, ENX_MODEL_FILE_PARTS_MAX) };
    if (!file.parts) return ENX_FAIL(report, NOMEM, "%s: no memory", path);
    enx_status status = open_part(&file, &file.gguf, path, report);
    if (status == ENX_OK) {
        status = read_split(&keys, file.gguf, report);
        if (status == ENX_OK && keys.number > 0)
            status = ENX_FAIL(report, FORMAT,
                              "this is part %llu of %llu; name the first part, the others are "
                              "found beside it",
                              (unsigned long long)keys.number + 1, (unsigned long long)keys.count);
        if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    }
    if (status == ENX_OK && keys.count > 1) status = join_parts(&file, path, &keys, report);
    if (status != ENX_OK) {
        enx_model_file_close(&file);
        return status;
    }
    *out = file;
    return ENX_OK;
}

void enx_model_file_close(enx_model_file *file)
{
    enx_gguf_close(&file->gguf);
    for (uint32_t i = 0; i < file->part_count; i++) enx_file_unmap(&file->parts[i]);
    enx_mem_free(file->parts);
    *file = (enx_model_file){ 0 };
}
