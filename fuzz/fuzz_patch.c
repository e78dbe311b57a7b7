/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_patch.c - a patch from any bytes, on a text from any bytes:
 *
 * (1) it is refused with a reason, or every name is relative and stays inside;
 * (2) what it makes is at most the text and the patch together, with a line break for each line;
 * (3) applying never fails without a reason.
 *
 * Up to the first zero byte the input is the patch; what follows is the text.
 */
#include "base/check.h"
#include "text/patch.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name)
{
    ENX_CHECK(name[0] && name[0] != '/' && !strstr(name, "//") && strcmp(name, "..") != 0);
    ENX_CHECK(strncmp(name, "../", 3) != 0 && !strstr(name, "/../"));
    const size_t size = strlen(name);
    ENX_CHECK(size < 3 || strcmp(name + size - 3, "/..") != 0);
}

static void apply(const enx_patch *p, size_t index, const char *text, size_t text_bytes,
                  size_t patch_bytes)
{
    enx_buf    out;
    enx_report report = { 0 };
    enx_buf_init(&out, 1 << 22);
    const enx_status status = enx_patch_apply(p, index, text, text_bytes, &out, &report);
    ENX_CHECK(status == ENX_OK || report.text[0]);
    if (status == ENX_OK) ENX_CHECK(out.size_bytes <= text_bytes + 2 * patch_bytes + 1);
    enx_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    const size_t   patch_bytes = zero ? (size_t)(zero - data) : size;
    const char    *text = zero ? (const char *)zero + 1 : "";
    const size_t   text_bytes = zero ? size - patch_bytes - 1 : 0;
    enx_patch     *p = NULL;
    enx_report     report = { 0 };
    if (enx_patch_open(&p, (const char *)data, patch_bytes, &report) != ENX_OK) {
        ENX_CHECK(!p && report.text[0]);
        return 0;
    }
    ENX_CHECK(enx_patch_file_count(p) <= ENX_PATCH_FILES_MAX);
    for (size_t i = 0; i < enx_patch_file_count(p); i++) {
        check_name(enx_patch_file_get(p, i).name);
        apply(p, i, text, text_bytes, patch_bytes);
    }
    enx_patch_close(&p);
    return 0;
}
