/* SPDX-License-Identifier: Apache-2.0 */
/* cli_serve.c - what a server serves. */
#include "cli/cli_serve.h"

#include "cli/cli_text.h"
#include "cli/cli_yaml.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void cli_served_deinit(cli_served *s)
{
    for (uint32_t i = 0; i < s->text_count; i++) enx_buf_deinit(&s->texts[i]);
    enx_config_close(&s->config);
}

static enx_status keep_text(cli_served *s, const char *text, size_t size_bytes, const char **out,
                            enx_report *report)
{
    enx_buf *to = &s->texts[s->text_count++];
    enx_buf_init(to, 2 * CLI_PATH_BYTES_MAX);
    if (enx_buf_append(to, text, size_bytes) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for the path of a model");
    *out = enx_buf_text(to);
    return ENX_OK;
}

/* The same file under the same name is one model. */
static bool has_model(const cli_served *s, const char *name, const char *path)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (strcmp(s->models[i].name, name) == 0 && s->models[i].path &&
            strcmp(s->models[i].path, path) == 0)
            return true;
    return false;
}

static enx_status add_file(cli_served *s, const char *path, const enx_config_model *model,
                           const char *duty, enx_report *report)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t      size = strlen(name);
    if (size > 5 && strcmp(name + size - 5, ".gguf") == 0) size -= 5;
    if (s->count == ENX_SERVE_MODELS_MAX)
        return ENX_FAIL(report, LIMIT, "at most %d models can be served", ENX_SERVE_MODELS_MAX);
    enx_serve_model m = { .duty = duty,
                          .has_price = model != NULL,
                          .config = model ? s->config : NULL,
                          .config_model = model };
    ENX_TRY(keep_text(s, path, strlen(path), &m.path, report));
    ENX_TRY(keep_text(s, name, size, &m.name, report));
    if (has_model(s, m.name, m.path)) return ENX_OK;
    s->models[s->count++] = m;
    return ENX_OK;
}

enx_status cli_served_add_file(cli_served *s, const char *path, enx_report *report)
{
    return add_file(s, path, NULL, "", report);
}

static enx_status add_remote(cli_served *s, const enx_config_model *model, const char *duty,
                             enx_report *report)
{
    if (s->count == ENX_SERVE_MODELS_MAX)
        return ENX_FAIL(report, LIMIT, "at most %d models can be served", ENX_SERVE_MODELS_MAX);
    enx_remote_model *remote = &s->remotes[s->count];
    ENX_TRY(enx_backend_describe_remote(model, cli_secret, remote, report));
    s->models[s->count++] = (enx_serve_model){ .name = model->remote->model,
                                               .duty = duty,
                                               .remote = remote,
                                               .has_price = model->usd_per_mtok_in != NULL,
                                               .config = s->config,
                                               .config_model = model };
    return ENX_OK;
}

static enx_status add_member(cli_served *s, const enx_config_model *model, const char *duty,
                             enx_report *report)
{
    enx_buf path;
    if (model->remote) return add_remote(s, model, duty, report);
    if (!model->model) return ENX_OK;
    enx_buf_init(&path, 2 * CLI_PATH_BYTES_MAX);
    enx_status status = enx_config_model_path(s->config, model, &path);
    if (status != ENX_OK) status = ENX_FAIL(report, LIMIT, "the path of a model is too long");
    if (status == ENX_OK) status = add_file(s, enx_buf_text(&path), model, duty, report);
    enx_buf_deinit(&path);
    return status;
}

enx_status cli_served_add_swarm(cli_served *s, const char *path, enx_report *report)
{
    cli_absolute_path(s->swarm, path);
    ENX_TRY(enx_config_open(&s->config, path, report));
    ENX_TRY(add_member(s, &s->config->lead, "lead", report));
    ENX_TRY(add_member(s, &s->config->scout, "scout", report));
    for (unsigned i = 0; i < s->config->worker_count; i++)
        ENX_TRY(add_member(s, &s->config->workers[i], "worker", report));
    return add_member(s, &s->config->verifier, "verifier", report);
}

/* ---- Ports of jobs -------------------------------------------------------------------------- */

/* A job of clients names no file here, and runs no command of theirs. */
static enx_status check_recipe(const json_t *json, enx_report *report)
{
    size_t  i;
    json_t *check;
    if (json_is_string(json_object_get(json, "schema")))
        return ENX_FAIL(report, INVALID,
                        "schema: must be written out in the job; no file of the server is read");
    json_array_foreach (json_object_get(json, "checks"), i, check)
        if (json_object_get(check, "run"))
            return ENX_FAIL(report, UNSUPPORTED, "checks: `run` is for jobs of the command line");
    return ENX_OK;
}

static enx_status read_recipe(const enx_job_order *o, json_t **out, enx_report *report)
{
    enx_buf text;
    if (o->recipe) {
        *out = json_deep_copy(o->recipe);
        return *out ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for a job");
    }
    enx_buf_init(&text, CLI_RECIPE_BYTES_MAX);
    enx_status status = enx_buf_append(&text, o->recipe_text.text, o->recipe_text.size_bytes);
    if (status != ENX_OK)
        status = ENX_FAIL(report, LIMIT, "job: more than %d bytes", CLI_RECIPE_BYTES_MAX);
    if (status == ENX_OK) status = cli_yaml_read(out, &text, "job", report);
    enx_buf_deinit(&text);
    return status;
}

static enx_status add_settings(enx_store *store, cli_job_settings *settings, const char *swarm,
                               const enx_job_order *o, uint64_t *id, enx_report *report)
{
    const cli_job_input text = { "text", o->text };
    const bool          is_run = strcmp(o->command, "run") == 0;
    ENX_TRY(cli_job_check(settings, swarm, report));
    snprintf(settings->in, sizeof settings->in, "%s", o->in);
    snprintf(settings->out, sizeof settings->out, "%s", o->out);
    return cli_job_add(store, settings, o->once, &text, is_run ? 1 : 0, id, report);
}

enx_status cli_serve_job_add(void *user, enx_store *store, const enx_job_order *o, uint64_t *id,
                             enx_report *report)
{
    cli_recipe      *recipe = NULL;
    cli_job_settings settings = { .command = o->command,
                                  .goal = o->goal,
                                  .mode = o->mode,
                                  .accuracy = o->accuracy,
                                  .confidence = o->confidence,
                                  .labels = o->labels,
                                  .budget_usd = o->budget_usd,
                                  .input_field = "text",
                                  .output_field = "answer",
                                  .report_field = "report" };
    enx_status       status = ENX_OK;
    if (!o->goal) {
        ENX_TRY(read_recipe(o, &settings.recipe, report));
        status = check_recipe(settings.recipe, report);
        if (status == ENX_OK) status = cli_recipe_open(&recipe, settings.recipe, report);
        if (status == ENX_OK) cli_job_take_recipe(&settings, recipe);
    }
    if (o->share_usd > 0 && (settings.budget_usd == 0 || settings.budget_usd > o->share_usd))
        settings.budget_usd = o->share_usd;
    if (status == ENX_OK) status = add_settings(store, &settings, user, o, id, report);
    cli_recipe_close(&recipe);
    json_decref(settings.recipe);
    return status;
}

bool cli_serve_job_is_busy(void *user, uint64_t id)
{
    int fd = -1;
    (void)user;
    const enx_status status = cli_job_lock(id, &fd, NULL);
    if (fd >= 0) close(fd);
    return status == ENX_AGAIN;
}

static enx_status add_items(const enx_buf *text, json_t *out, enx_report *report)
{
    cli_items  items = { 0 };
    enx_status status = cli_items_add(&items, enx_buf_text(text), text->size_bytes, report);
    for (uint32_t i = 0; status == ENX_OK && i < items.count; i++)
        json_array_append_new(out, cli_json_text(items.spans[i].text, items.spans[i].size_bytes));
    cli_items_deinit(&items);
    return status;
}

/* Of a `run` its paragraphs; the records of a `map` are in a file that may have changed. */
enx_status cli_serve_job_items(void *user, enx_store *store, uint64_t id, json_t *out,
                               enx_report *report)
{
    enx_status status = ENX_OK;
    (void)user;
    for (uint32_t i = 0; status == ENX_OK; i++) {
        enx_buf path, text;
        enx_buf_init(&path, CLI_PATH_BYTES_MAX);
        enx_buf_init(&text, ENX_STORE_INPUT_BYTES_MAX);
        status = enx_store_input_get(store, id, i, &path, &text, report);
        if (status == ENX_OK) status = add_items(&text, out, report);
        enx_buf_deinit(&path);
        enx_buf_deinit(&text);
    }
    return status == ENX_NOTFOUND && json_array_size(out) > 0 ? ENX_OK : status;
}
