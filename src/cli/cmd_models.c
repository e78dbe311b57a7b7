/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_models.c - enxame models: what a model file, or a swarm, holds. */
#include "backend/config.h"
#include "backend/loaded.h"
#include "cli/cli.h"
#include "cli/cli_advise.h"

#include <stdio.h>
#include <string.h>

static json_t *text_key(const enx_gguf *gguf, const char *key)
{
    enx_gguf_str text;
    if (enx_gguf_read_str(gguf, key, &text, NULL) != ENX_OK) return json_null();
    return cli_json_text(text.data, text.size_bytes);
}

/* The classes of tasks that it has prompts for. */
static json_t *classes_of(const enx_gguf *gguf)
{
    static const char prefix[] = "enxame.prompt.";
    json_t           *out = json_array();
    enx_gguf_value    value;
    for (uint64_t i = 0; i < enx_gguf_key_count(gguf); i++) {
        const enx_gguf_str key = enx_gguf_key_at(gguf, i, &value);
        const size_t       size = sizeof prefix - 1;
        if (key.size_bytes > size && memcmp(key.data, prefix, size) == 0)
            json_array_append_new(out, cli_json_text(key.data + size, key.size_bytes - size));
    }
    return out;
}

static json_t *weights_of(const enx_gguf *gguf)
{
    json_t *out = json_object();
    for (uint64_t i = 0; i < enx_gguf_tensor_count(gguf); i++) {
        const enx_gguf_tensor *t = enx_gguf_tensor_at(gguf, i);
        const char            *type = enx_tensor_type_name(t->type);
        json_t                *count = json_object_get(out, type);
        const json_int_t       before = count ? json_integer_value(count) : 0;
        json_object_set_new(out, type, json_integer(before + (json_int_t)t->size_bytes));
    }
    return out;
}

static enx_status describe(const char *path, json_t **out, enx_report *report)
{
    enx_loaded loaded;
    double     train_s = 0;
    ENX_TRY(enx_loaded_open(&loaded, path, report));
    const enx_hparams *h = enx_model_hparams(loaded.model);
    (void)!enx_gguf_read_f64(loaded.gguf, "enxame.train.cpu_seconds", &train_s, NULL);
    *out = json_pack(
        "{s:s, s:o, s:o, s:s, s:I, s:I, s:I, s:o, s:{s:i, s:i, s:i, s:i, s:i, s:i, s:i, "
        "s:i, s:i, s:i}, s:o, s:f}",
        "path", path, "name", text_key(loaded.gguf, "general.name"), "about",
        text_key(loaded.gguf, "general.description"), "architecture", h->arch->name, "parameters",
        (json_int_t)enx_model_param_count(loaded.model), "active_parameters",
        (json_int_t)enx_model_active_param_count(loaded.model), "weight_bytes",
        (json_int_t)enx_model_weight_bytes(loaded.model), "types", weights_of(loaded.gguf), "sizes",
        "vocab", (int)h->vocab_count, "context", (int)h->context_tokens, "width", (int)h->width,
        "layers", (int)h->layer_count, "heads", (int)h->head_count, "kv_heads",
        (int)h->kv_head_count, "head_width", (int)h->head_width, "ffn", (int)h->ffn_width,
        "experts", (int)h->expert_count, "experts_used", (int)h->expert_used_count, "classes",
        classes_of(loaded.gguf), "train_cpu_seconds", train_s);
    enx_loaded_close(&loaded);
    return *out ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory");
}

/* What the swarm file says; the provider is not asked. */
static json_t *describe_remote(const enx_config_remote *r)
{
    return json_pack("{s:n, s:s, s:s, s:s, s:n, s:[]}", "path", "name", r->model, "api", r->api,
                     "url", r->url, "parameters", "classes");
}

static enx_status describe_file(const enx_config *config, const enx_config_model *model,
                                json_t **out, enx_report *report)
{
    enx_buf path;
    enx_buf_init(&path, 2 * CLI_PATH_BYTES_MAX);
    enx_status status = enx_config_model_path(config, model, &path);
    if (status == ENX_OK) status = describe(enx_buf_text(&path), out, report);
    enx_buf_deinit(&path);
    return status;
}

static enx_status add(json_t *list, const enx_config *config, const enx_config_model *model,
                      const char *duty, enx_report *report)
{
    enx_status status = ENX_OK;
    json_t    *one = NULL, *tags = json_array();
    if (model->remote) one = describe_remote(model->remote);
    else status = describe_file(config, model, &one, report);
    for (unsigned i = 0; i < model->specialty_count; i++)
        json_array_append_new(tags, json_string(model->specialty[i]));
    if (status == ENX_OK) {
        const uint64_t  params = (uint64_t)json_integer_value(json_object_get(one, "parameters"));
        const enx_price price = enx_config_price(config, model, params);
        json_object_set_new(one, "duty", json_string(duty));
        json_object_set(one, "specialty", tags);
        json_object_set_new(one, "usd_per_mtok_in", cli_json_usd(price.in));
        json_object_set_new(one, "usd_per_mtok_out", cli_json_usd(price.out));
        json_array_append_new(list, one);
    }
    json_decref(tags);
    return status;
}

static enx_status describe_swarm(const char *path, json_t *list, enx_report *report)
{
    enx_config *config = NULL;
    ENX_TRY(enx_config_open(&config, path, report));
    enx_status status = ENX_OK;
    if (enx_config_has(&config->lead)) status = add(list, config, &config->lead, "lead", report);
    if (status == ENX_OK && enx_config_has(&config->scout))
        status = add(list, config, &config->scout, "scout", report);
    for (unsigned i = 0; status == ENX_OK && i < config->worker_count; i++)
        status = add(list, config, &config->workers[i], "worker", report);
    enx_config_close(&config);
    return status;
}

static const char *text_of(const json_t *one, const char *key)
{
    const char *text = json_string_value(json_object_get(one, key));
    return text ? text : "-";
}

static void print_table(const json_t *list)
{
    size_t  i, j;
    json_t *one, *tag;
    printf("%-7s %-20s %-7s %10s %8s %7s %7s  %s\n", "duty", "name", "arch", "params", "KiB",
           "vocab", "context", "for");
    json_array_foreach (list, i, one) {
        const json_t *sizes = json_object_get(one, "sizes");
        printf("%-7s %-20s %-7s %10lld %8lld %7lld %7lld  ", text_of(one, "duty"),
               text_of(one, "name"),
               text_of(one, json_object_get(one, "url") ? "api" : "architecture"),
               (long long)json_integer_value(json_object_get(one, "parameters")),
               (long long)json_integer_value(json_object_get(one, "weight_bytes")) / 1024,
               (long long)json_integer_value(json_object_get(sizes, "vocab")),
               (long long)json_integer_value(json_object_get(sizes, "context")));
        json_array_foreach (json_object_get(one, "specialty"), j, tag)
            printf("%s ", json_string_value(tag));
        json_array_foreach (json_object_get(one, "classes"), j, tag)
            printf("%s%s", j ? "," : "", json_string_value(tag));
        putchar('\n');
    }
}

int cmd_models(int argc, char **argv)
{
    const char      *job = NULL, *law = NULL;
    const cli_option options[] = {
        { "advise", '\0', CLI_TEXT, (void *)&job, "JOB",
          "would a bigger worker pay for jobs like this one?" },
        { "law", '\0', CLI_TEXT, (void *)&law, "FILE",
          "... by the law that `scale odds --law` wrote" },
    };
    const cli_spec spec = { "models [MODEL.gguf | swarm.yaml]…",
                            "Say what model files, or the models of a swarm, hold (default: the "
                            "default swarm).",
                            "enxame models models/swarm.yaml",
                            options,
                            2,
                            0,
                            CLI_LIST_MAX };
    cli_args       args;
    char           swarm[CLI_PATH_BYTES_MAX];
    enx_report     report = { 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK && (job || law)) {
        status = job && law ? cli_advise_print(job, law, args.is_json, &report)
                            : ENX_FAIL(&report, INVALID, "--advise JOB and --law FILE go together");
        return status == ENX_OK ? 0 : cli_fail("models", &args, status, &report);
    }
    json_t *list = json_array();
    if (status == ENX_OK && args.operands.count == 0) {
        status = cli_swarm_path(swarm, NULL, &report);
        if (status == ENX_OK) args.operands.items[args.operands.count++] = swarm;
    }
    for (size_t i = 0; status == ENX_OK && i < args.operands.count; i++) {
        const char *path = args.operands.items[i];
        json_t     *one = NULL;
        if (cli_is_yaml(path)) status = describe_swarm(path, list, &report);
        else if ((status = describe(path, &one, &report)) == ENX_OK)
            json_array_append_new(list, one);
    }
    if (status == ENX_OK && args.is_json) cli_print_json(json_pack("{s:O}", "models", list));
    else if (status == ENX_OK) print_table(list);
    json_decref(list);
    return status == ENX_OK ? 0 : cli_fail("models", &args, status, &report);
}
