/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_template.c - a chat template and a context from any bytes:
 *
 * (1) the template is refused, or it opens;
 * (2) rendering ends, within the cap of its buffer, and twice with the same result;
 * (3) when it fails nothing was put out.
 *
 * The bytes up to the first zero are the template, those behind it the context as JSON; where that
 * is none, a small conversation takes its place.
 */
#include "base/check.h"
#include "text/template.h"

#include <string.h>

enum { TEMPLATE_BYTES_MAX = 1 << 12, TEXT_BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char conversation[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"a b\"}, {\"role\": \"assistant\", "
    "\"content\": null, \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": {\"x\": "
    "1.5}}}]}], \"bos_token\": \"<s>\", \"add_generation_prompt\": true}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char   *text = (const char *)data;
    const char   *zero = size ? memchr(text, '\0', size) : NULL;
    const size_t  template_size = zero ? (size_t)(zero - text) : size;
    enx_template *t = NULL;
    if (template_size > TEMPLATE_BYTES_MAX) return 0;
    const enx_status opened = enx_template_open(&t, text, template_size, NULL);
    ENX_CHECK((opened == ENX_OK) == (t != NULL));
    if (!t) return 0;
    json_t *context = zero ? json_loadb(zero + 1, size - template_size - 1, 0, NULL) : NULL;
    if (!json_is_object(context)) {
        json_decref(context);
        context = json_loads(conversation, 0, NULL);
    }
    enx_buf first, second;
    enx_buf_init(&first, TEXT_BYTES_MAX);
    enx_buf_init(&second, TEXT_BYTES_MAX);
    const enx_status status = enx_template_render(t, context, 0, &first, NULL);
    ENX_CHECK(enx_template_render(t, context, 0, &second, NULL) == status);
    ENX_CHECK(status == ENX_OK || first.size_bytes == 0);
    ENX_CHECK(first.size_bytes == second.size_bytes &&
              memcmp(enx_buf_text(&first), enx_buf_text(&second), first.size_bytes) == 0);
    enx_buf_deinit(&first);
    enx_buf_deinit(&second);
    enx_template_close(&t);
    json_decref(context);
    return 0;
}
