/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_doctor.c - enxame doctor: is this machine fit; where are things. */
#include "backend/backend.h"
#include "cli/cli_job.h"
#include "kernels/kernels.h"
#include "plat/clock.h"
#include "sandbox/language.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char *cpu_text(void)
{
    enx_kernels kernels;
    enx_kernels_init(&kernels, enx_cpu_detect(getenv("ENX_CPU")));
    return kernels.name;
}

static uint64_t memory_bytes(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_check(json_t *checks, const char *name, enx_status status, const char *text)
{
    json_array_append_new(checks, json_pack("{s:s, s:b, s:o}", "name", name, "ok", status == ENX_OK,
                                            "text", cli_json_text(text, strlen(text))));
}

static enx_status check_store(json_t *checks)
{
    char       home[CLI_PATH_BYTES_MAX] = "", text[CLI_PATH_BYTES_MAX + 100];
    enx_store *store = NULL;
    enx_report report = { 0 };
    enx_status status = cli_home(home, &report);
    if (status == ENX_OK) status = cli_store_open(&store, &report);
    if (status == ENX_OK)
        snprintf(text, sizeof text, "%s/enxame.db, version %d, %llu KiB", home, ENX_STORE_VERSION,
                 (unsigned long long)enx_store_size_bytes(store) >> 10);
    enx_store_close(&store);
    add_check(checks, "store", status, status == ENX_OK ? text : report.text);
    return status;
}

static enx_status check_swarm(json_t *checks)
{
    char         path[CLI_PATH_BYTES_MAX], text[CLI_PATH_BYTES_MAX + 100];
    enx_report   report = { 0 };
    enx_config  *config = NULL;
    enx_backend *backend = NULL;
    enx_status   status = cli_swarm_path(path, NULL, &report);
    if (status == ENX_NOTFOUND) { /* fit, but for the default */
        add_check(checks, "swarm", ENX_OK, report.text);
        return ENX_OK;
    }
    const enx_backend_options options = { .local = { .thread_count = 1 }, .secret = cli_secret };
    if (status == ENX_OK) status = enx_config_open(&config, path, &report);
    if (status == ENX_OK) status = enx_backend_open(&backend, config, &options, &report);
    if (status == ENX_OK) {
        uint64_t params = 0;
        for (uint32_t m = 0; m < enx_backend_roster(backend)->model_count; m++)
            params += enx_backend_roster(backend)->models[m].params;
        snprintf(text, sizeof text, "%s, %u models, %.1f M parameters", path,
                 enx_backend_roster(backend)->model_count, (double)params * 1e-6);
    }
    enx_backend_close(&backend);
    enx_config_close(&config);
    add_check(checks, "swarm", status, status == ENX_OK ? text : report.text);
    return status;
}

/* Not having one is no fault of the machine: only what runs programs needs it. */
static void check_sandbox(json_t *checks)
{
    enx_sandbox        *sandbox = NULL;
    enx_report          report = { 0 }, missing = { 0 };
    char                text[CLI_PATH_BYTES_MAX] = "namespaces, filter and limits work; runs";
    size_t              count = 0;
    const enx_language *languages = enx_language_list(&count);
    enx_status          status = enx_sandbox_open(&sandbox, NULL, &report);
    if (status == ENX_OK) status = enx_sandbox_probe(sandbox, &report);
    enx_sandbox_close(&sandbox);
    for (size_t i = 0; i < count; i++) {
        const bool   is_there = enx_language_check(&languages[i], &missing) == ENX_OK;
        const size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s %s%s%s%s", i ? "," : "", languages[i].name,
                 is_there ? "" : " (install ", is_there ? "" : languages[i].package,
                 is_there ? "" : ")");
    }
    add_check(checks, "sandbox", status, status == ENX_OK ? text : report.text);
}

int cmd_doctor(int argc, char **argv)
{
    const cli_spec spec = { "doctor",
                            "Say what this machine has, where jobs and models are, and "
                            "whether they work.",
                            "enxame doctor",
                            NULL,
                            0,
                            0,
                            0 };
    cli_args       args;
    enx_report     report = { 0 };
    struct utsname system = { 0 };
    size_t         i;
    json_t        *check, *checks = NULL;
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status != ENX_OK) return cli_fail("doctor", &args, status, &report);
    checks = json_array();
    uname(&system);
    const enx_status store = check_store(checks), swarm = check_swarm(checks);
    status = store != ENX_OK ? store : swarm;
    check_sandbox(checks);
#ifdef HAVE_TRAIN
    const bool has_train = true;
#else
    const bool has_train = false;
#endif
    if (args.is_json)
        cli_print_json(json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:b, s:O, s:b}", "version",
                                 ENX_VERSION, "system", system.sysname, "machine", system.machine,
                                 "cores", (int)enx_cpu_count(), "kernels", cpu_text(),
                                 "memory_bytes", (json_int_t)memory_bytes(), "train",
                                 (int)has_train, "checks", checks, "ok", status == ENX_OK));
    else {
        printf("enxame  %s, training %s\n", ENX_VERSION, has_train ? "built in" : "left out");
        printf("machine %s %s, %u cores, %s kernels, %llu MiB\n", system.sysname, system.machine,
               enx_cpu_count(), cpu_text(), (unsigned long long)memory_bytes() >> 20);
        json_array_foreach (checks, i, check)
            printf("%-7s %s: %s\n", json_string_value(json_object_get(check, "name")),
                   json_is_true(json_object_get(check, "ok")) ? "ok" : "NOT OK",
                   json_string_value(json_object_get(check, "text")));
    }
    json_decref(checks);
    return enx_status_exit_code(status);
}
