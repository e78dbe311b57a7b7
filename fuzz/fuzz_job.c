/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_job.c - whatever is accepted as a job's file is a sound class, or a goal, and is the same
 * when it is read back from the store. */
#include "base/check.h"
#include "cli/cli_recipe.h"
#include "cli/cli_yaml.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Jobs keep their file as JSON text. */
static void check_again(json_t *json)
{
    char       *text = json_dumps(json, JSON_COMPACT);
    json_t     *back = text ? json_loads(text, 0, NULL) : NULL;
    cli_recipe *recipe = NULL;
    ENX_CHECK(back && cli_recipe_difference(json, back) == NULL);
    ENX_CHECK(cli_recipe_open(&recipe, back, NULL) == ENX_OK);
    cli_recipe_close(&recipe);
    json_decref(back);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enx_buf     text;
    json_t     *json = NULL;
    cli_recipe *recipe = NULL;
    enx_buf_init(&text, CLI_RECIPE_BYTES_MAX);
    if (enx_buf_append(&text, data, size) == ENX_OK &&
        cli_yaml_read(&json, &text, "job.yaml", NULL) == ENX_OK && json_is_object(json) &&
        cli_recipe_open(&recipe, json, NULL) == ENX_OK) {
        ENX_CHECK(recipe->goal || enx_class_validate(&recipe->task_class, NULL) == ENX_OK);
        check_again(json);
    }
    cli_recipe_close(&recipe);
    json_decref(json);
    enx_buf_deinit(&text);
    return 0;
}
