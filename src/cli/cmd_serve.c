/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_serve.c - enxame serve: models and swarm over HTTP. */
#include "cli/cli_serve.h"
#include "plat/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    PEM_BYTES_MAX = 1 << 20,
    LAW_BYTES_MAX = 4 << 20,
    TICK_MS = 200,
    DRAIN_S = 30,
    PORT_DEFAULT = 8080,
    OPTIONS = 26,
};

typedef struct serve_arguments {
    const char *swarm, *host, *key_file, *tls_cert, *tls_key, *cors, *law, *cache;
    enx_kv_type cache_type; /* what `cache` names */
    uint64_t    cache_mb, port, slots, context, threads, jobs, drain_s;
    uint64_t    header_bytes, body_bytes, connections, connections_each, waiting, tokens, seconds,
        idle_s, arrive_s;
    bool is_quiet;
} serve_arguments;

static size_t list_options(serve_arguments *a, cli_option out[OPTIONS])
{
    const cli_option options[] = {
        { "swarm", 's', CLI_TEXT, &a->swarm, "FILE", "a swarm: its models, jobs, and \"swarm\"" },
        { "host", '\0', CLI_TEXT, &a->host, "ADDRESS", "to listen on (127.0.0.1)" },
        { "port", 'p', CLI_UINT, &a->port, "N", "... (8080; 0: any that is free)" },
        { "key-file", '\0', CLI_TEXT, &a->key_file, "FILE",
          "who may ask, and for how much (YAML)" },
        { "tls-cert", '\0', CLI_TEXT, &a->tls_cert, "FILE",
          "serve HTTPS with this certificate (PEM)" },
        { "tls-key", '\0', CLI_TEXT, &a->tls_key, "FILE", "... and this key" },
        { "cors", '\0', CLI_TEXT, &a->cors, "ORIGIN", "let pages of this origin call (* : any)" },
        { "law", '\0', CLI_TEXT, &a->law, "FILE", "show this picture of scale --svg on the page" },
        { "slots", '\0', CLI_UINT, &a->slots, "N", "answers of one model at a time (4)" },
        { "context", '\0', CLI_UINT, &a->context, "N",
          "tokens of one (the model's, at most 8192)" },
        { "threads", '\0', CLI_UINT, &a->threads, "N", "of one model (one per core)" },
        { "cache", '\0', CLI_TEXT, &a->cache, "TYPE",
          "of keys and values: f32, f16 (default) or q8" },
        { "cache-mb", '\0', CLI_UINT, &a->cache_mb, "N",
          "MiB of them, of one model (room for each answer's whole context)" },
        { "jobs", '\0', CLI_UINT, &a->jobs, "N", "jobs of the swarm at a time (2)" },
        { "waiting", '\0', CLI_UINT, &a->waiting, "N",
          "requests of one model that may wait (1024)" },
        { "tokens", '\0', CLI_UINT, &a->tokens, "N", "of one answer at most (32768)" },
        { "seconds", '\0', CLI_UINT, &a->seconds, "N", "of one request at most (600)" },
        { "connections", '\0', CLI_UINT, &a->connections, "N", "open at a time (2048)" },
        { "connections-each", '\0', CLI_UINT, &a->connections_each, "N",
          "... of one address (all)" },
        { "header-bytes", '\0', CLI_UINT, &a->header_bytes, "N", "of a request's header (16384)" },
        { "body-bytes", '\0', CLI_UINT, &a->body_bytes, "N", "of its body (16777216)" },
        { "idle", '\0', CLI_UINT, &a->idle_s, "S", "seconds without a byte end a connection (75)" },
        { "arrive", '\0', CLI_UINT, &a->arrive_s, "S", "... and so many without a request (30)" },
        { "drain", '\0', CLI_UINT, &a->drain_s, "S", "wait so long for answers at the end (30)" },
        { "quiet", 'q', CLI_FLAG, &a->is_quiet, NULL, "no access log on stderr" },
    };
    _Static_assert(sizeof options / sizeof *options <= OPTIONS, "room for all");
    memcpy(out, options, sizeof options);
    return sizeof options / sizeof *options;
}

static enx_status check_arguments(serve_arguments *a, enx_report *report)
{
    const uint64_t numbers[] = { a->slots,        a->context,     a->threads,
                                 a->jobs,         a->waiting,     a->tokens,
                                 a->seconds,      a->connections, a->connections_each,
                                 a->header_bytes, a->body_bytes,  a->idle_s,
                                 a->arrive_s };
    if (a->port > UINT16_MAX) return ENX_FAIL(report, INVALID, "--port: at most %d", UINT16_MAX);
    if ((a->tls_cert != NULL) != (a->tls_key != NULL))
        return ENX_FAIL(report, INVALID, "--tls-cert and --tls-key belong together");
    if (a->slots > ENX_ENGINE_SLOTS_MAX)
        return ENX_FAIL(report, INVALID, "--slots: at most %d", ENX_ENGINE_SLOTS_MAX);
    if (a->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    if (a->cache_mb > ENX_CONFIG_CACHE_MB_MAX)
        return ENX_FAIL(report, INVALID, "--cache-mb: at most %d", ENX_CONFIG_CACHE_MB_MAX);
    ENX_TRY(enx_kv_type_parse(&a->cache_type, a->cache, report));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] > INT32_MAX)
            return ENX_FAIL(report, INVALID, "a limit is at most %d", INT32_MAX);
    return ENX_OK;
}

/* ---- What is served ------------------------------------------------------------------------- */

static enx_status add_models(const serve_arguments *a, const cli_list *operands, cli_served *served,
                             enx_report *report)
{
    const char *swarm = a->swarm;
    char        path[CLI_PATH_BYTES_MAX];
    for (size_t i = 0; i < operands->count; i++) {
        const char *name = operands->items[i];
        if (!cli_is_yaml(name)) ENX_TRY(cli_served_add_file(served, name, report));
        else if (swarm) return ENX_FAIL(report, INVALID, "one swarm can be served, not two");
        else swarm = name;
    }
    if (!swarm && served->count > 0) return ENX_OK;
    ENX_TRY(cli_swarm_path(path, swarm, report));
    return cli_served_add_swarm(served, path, report);
}

/* The files that only exist as long as the server does. */
typedef struct serve_files {
    enx_broker_options queue;
    enx_buf            cert, key, keys_text, law;
    enx_keys          *keys;
    char               store[CLI_PATH_BYTES_MAX + 16], folder[CLI_PATH_BYTES_MAX + 16],
        spent[CLI_PATH_BYTES_MAX + 32];
} serve_files;

static enx_status read_law(enx_buf *out, const char *path, enx_report *report)
{
    ENX_TRY(cli_read(out, path, report));
    if (strncmp(enx_buf_text(out), "<svg", 4) == 0 || strncmp(enx_buf_text(out), "<?xml", 5) == 0)
        return ENX_OK;
    return ENX_FAIL(
        report, FORMAT,
        "--law %s: no SVG; give a picture that enxame scale odds RUNS.csv --svg FILE.svg made",
        path);
}

static enx_status read_files(const serve_arguments *a, serve_files *f, enx_report *report)
{
    char home[CLI_PATH_BYTES_MAX];
    enx_buf_init(&f->cert, PEM_BYTES_MAX);
    enx_buf_init(&f->key, PEM_BYTES_MAX);
    enx_buf_init(&f->keys_text, ENX_KEYS_BYTES_MAX);
    enx_buf_init(&f->law, LAW_BYTES_MAX);
    ENX_TRY(cli_home(home, report));
    snprintf(f->store, sizeof f->store, "%s/enxame.db", home);
    snprintf(f->folder, sizeof f->folder, "%s/serve", home);
    snprintf(f->spent, sizeof f->spent, "%s/serve/spent.json", home);
    if (a->tls_cert) {
        ENX_TRY(cli_read(&f->cert, a->tls_cert, report));
        ENX_TRY(cli_read(&f->key, a->tls_key, report));
    }
    if (a->law) ENX_TRY(read_law(&f->law, a->law, report));
    if (!a->key_file) return ENX_OK;
    ENX_TRY(enx_dir_make(f->folder, report));
    ENX_TRY(cli_read(&f->keys_text, a->key_file, report));
    return enx_keys_open(&f->keys, &f->keys_text, a->key_file, f->spent, report);
}

/* Where the swarm's machines meet; as the swarm file says it. */
static enx_status read_queue(const enx_config *config, enx_broker_options *out, enx_report *report)
{
    const enx_config_queue *q = config ? config->queue : NULL;
    if (!q) return ENX_OK;
    *out = (enx_broker_options){ .url = q->url,
                                 .swarm = q->swarm ? q->swarm : ENX_BROKER_SWARM,
                                 .user = q->user,
                                 .password = q->password ? cli_secret(q->password) : NULL,
                                 .credentials = q->credentials,
                                 .tls_ca = q->tls_ca,
                                 .tls_cert = q->tls_cert,
                                 .tls_key = q->tls_key };
    if (!q->password || out->password) return ENX_OK;
    return ENX_FAIL(report, NOTFOUND, "queue: the environment has no %s; export it", q->password);
}

static void close_files(serve_files *f)
{
    enx_keys_close(&f->keys);
    enx_buf_deinit(&f->cert);
    enx_buf_deinit(&f->key);
    enx_buf_deinit(&f->keys_text);
    enx_buf_deinit(&f->law);
}

static void write_log(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "%s\n", line);
}

static enx_serve_options server_options(const serve_arguments *a, cli_served *served,
                                        const serve_files *f)
{
    enx_serve_options o = { .host = a->host,
                            .port = (uint16_t)a->port,
                            .tls_cert = a->tls_cert ? enx_buf_text(&f->cert) : NULL,
                            .tls_key = a->tls_cert ? enx_buf_text(&f->key) : NULL,
                            .cors = a->cors,
                            .law = a->law ? enx_buf_text(&f->law) : NULL,
                            .law_bytes = f->law.size_bytes,
                            .keys = f->keys,
                            .models = served->models,
                            .model_count = served->count,
                            .slots = (uint32_t)a->slots,
                            .context_tokens = (uint32_t)a->context,
                            .threads = (uint32_t)a->threads,
                            .cache = a->cache_type,
                            .cache_bytes = a->cache_mb << 20,
                            .cpu = getenv("ENX_CPU"),
                            .jobs = { .store_path = f->store,
                                      .folder = f->folder,
                                      .program = "/proc/self/exe",
                                      .running_max = (uint32_t)a->jobs,
                                      .add = cli_serve_job_add,
                                      .items = cli_serve_job_items,
                                      .is_busy = cli_serve_job_is_busy,
                                      .user = served->swarm },
                            .log = a->is_quiet ? NULL : write_log };
    o.limits = (enx_serve_limits){ .header_bytes = (uint32_t)a->header_bytes,
                                   .body_bytes = (uint32_t)a->body_bytes,
                                   .connections = (uint32_t)a->connections,
                                   .connections_each = (uint32_t)a->connections_each,
                                   .waiting = (uint32_t)a->waiting,
                                   .tokens = (uint32_t)a->tokens,
                                   .seconds = (uint32_t)a->seconds,
                                   .idle_s = (uint32_t)a->idle_s,
                                   .arrive_s = (uint32_t)a->arrive_s };
    if (served->config && served->config->queue) o.queue = &f->queue;
    if (served->config) {
        o.swarm_name = served->config->name ? served->config->name : "";
        o.swarm_path = served->swarm;
    }
    if (getrandom(&o.salt, sizeof o.salt, 0) != (ssize_t)sizeof o.salt)
        o.salt = (uint64_t)time(NULL);
    return o;
}

/* ---- Serving -------------------------------------------------------------------------------- */

static void greet(const serve_arguments *a, const enx_serve *serve, const cli_served *served,
                  bool is_json)
{
    const char *host = a->host ? a->host : "127.0.0.1";
    const bool  is_v6 = strchr(host, ':') != NULL;
    char        url[128];
    snprintf(url, sizeof url, "%s://%s%s%s:%u/", a->tls_cert ? "https" : "http", is_v6 ? "[" : "",
             host, is_v6 ? "]" : "", enx_serve_port(serve));
    if (is_json) {
        json_t *models = json_array();
        for (uint32_t i = 0; i < served->count; i++)
            json_array_append_new(models, json_string(served->models[i].name));
        if (served->config) json_array_append_new(models, json_string("swarm"));
        cli_print_json(json_pack("{s:s, s:o}", "url", url, "models", models));
        fflush(stdout);
        return;
    }
    fprintf(stderr, "%s  (OpenAI's API below v1/, Anthropic's at v1/messages; Ctrl-C ends)\n", url);
    for (uint32_t i = 0; i < served->count; i++) fprintf(stderr, "  %s\n", served->models[i].name);
    if (served->config) fprintf(stderr, "  swarm\n");
}

static enx_status serve(serve_arguments *a, const cli_args *args, cli_served *served,
                        serve_files *files, enx_report *report)
{
    const struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };
    enx_serve            *server = NULL;
    ENX_TRY(check_arguments(a, report));
    ENX_TRY(add_models(a, &args->operands, served, report));
    ENX_TRY(read_files(a, files, report));
    ENX_TRY(read_queue(served->config, &files->queue, report));
    const enx_serve_options options = server_options(a, served, files);
    ENX_TRY(enx_serve_open(&server, &options, report));
    cli_catch_interrupts();
    greet(a, server, served, args->is_json);
    while (!cli_is_interrupted()) {
        nanosleep(&tick, NULL);
        enx_serve_tick(server);
    }
    const bool is_drained = enx_serve_drain(server, (uint32_t)a->drain_s);
    enx_serve_close(&server);
    if (is_drained) return ENX_OK;
    return ENX_FAIL(report, CANCELED, "requests were still open after %llu s; they were cut off",
                    (unsigned long long)a->drain_s);
}

int cmd_serve(int argc, char **argv)
{
    static cli_served  served;
    static serve_files files;
    serve_arguments    a = { .port = PORT_DEFAULT, .drain_s = DRAIN_S };
    cli_option         options[OPTIONS];
    const size_t       option_count = list_options(&a, options);
    const cli_spec     spec = { "serve [-s swarm.yaml] [MODEL.gguf]… [options]",
                                "Serve models and the swarm over HTTP, to every client that "
                                    "speaks like OpenAI's or Anthropic's,\nand on a page of its "
                                    "own.  Without models it is the default swarm.  Ends by "
                                    "SIGTERM\nor Ctrl-C, when what is being answered has been.",
                                "enxame serve -s models/swarm.yaml chat.gguf --port 8080",
                                options,
                                option_count,
                                0,
                                ENX_SERVE_MODELS_MAX };
    cli_args           args;
    enx_report         report = { 0 };
    enx_status         status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = serve(&a, &args, &served, &files, &report);
    close_files(&files);
    cli_served_deinit(&served);
    return status == ENX_OK ? 0 : cli_fail("serve", &args, status, &report);
}
