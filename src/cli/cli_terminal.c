/* SPDX-License-Identifier: Apache-2.0 */
/* cli_terminal.c - libedit, with a reader of keys of our own.
 *
 * The reader is where everything outside of a line comes in:
 *
 * (1) Signals come while it waits, and at no other time: they are blocked until then.  SIGINT and
 *     those that end the program end the line, after which libedit puts the terminal back; SIGWINCH
 *     draws the line again; SIGTSTP puts the terminal back, stops, and takes it again when the
 *     process goes on.
 * (2) A paste arrives between two marks, which the terminal is asked to send.  It is taken whole
 *     when the first mark comes, without control characters, and handed on as if it were typed;
 *     only that a line break in it is told apart from Enter. */
#include "cli/cli_terminal.h"

#ifndef HAVE_LIBEDIT

cli_terminal *cli_terminal_open(void) { return NULL; }

void cli_terminal_close(cli_terminal **terminal) { (void)terminal; }

enx_status cli_terminal_read(cli_terminal *terminal, const char *prompt, enx_buf *line,
                             cli_editor_kind *kind)
{
    (void)terminal, (void)prompt, (void)line, (void)kind;
    return ENX_UNSUPPORTED;
}

void cli_terminal_remember(cli_terminal *terminal, const char *line) { (void)terminal, (void)line; }

#else

#include "base/mem.h"
#include "cli/cli.h"
#include "text/utf8.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ask for marks around what is pasted, or no more; the marks. */
#define PASTE_ON    "\033[?2004h"
#define PASTE_OFF   "\033[?2004l"
#define PASTE_BEGIN "\033[200~"
#define PASTE_END   "\033[201~"

struct cli_terminal {
    EditLine   *edit;
    History    *history;
    const char *prompt;
    enx_buf     pasted; /* what a paste has brought */
    size_t      pasted_at;
    bool        was_pasted; /* the line's end */
    bool        has_kept;   /* a byte that did not belong to the character before it */
    char        kept;
    sigset_t    open;     /* signals that come in while it waits for a key */
    bool        is_plain; /* the terminal knows no marks */
};

static volatile sig_atomic_t was_resized, wants_stop;

static void note_signal(int number)
{
    if (number == SIGWINCH) was_resized = 1;
    else wants_stop = 1;
}

/* ---- Keys ----------------------------------------------------------------------------------- */

/* Stop as the shell asked, and come back to the same line. */
static void stop(cli_terminal *t)
{
    const struct sigaction plain = { .sa_handler = SIG_DFL };
    struct sigaction       kept;
    sigset_t               blocked;
    wants_stop = 0;
    el_set(t->edit, EL_PREP_TERM, 0);
    sigaction(SIGTSTP, &plain, &kept);
    raise(SIGTSTP);
    sigprocmask(SIG_SETMASK, &t->open, &blocked); /* here it stops */
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    sigaction(SIGTSTP, &kept, NULL);
    el_set(t->edit, EL_PREP_TERM, 1);
    el_set(t->edit, EL_REFRESH);
}

/* 1 a byte, 0 the end, -1 a failure or a signal that ends the line. */
static ssize_t wait_for_byte(cli_terminal *t, char *byte)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    for (;;) {
        if (cli_was_interrupted() || cli_is_ending()) return -1;
        if (was_resized) {
            was_resized = 0;
            el_resize(t->edit);
        }
        if (wants_stop) stop(t);
        if (ppoll(&input, 1, NULL, &t->open) > 0) return read(STDIN_FILENO, byte, 1);
        if (errno != EINTR) return -1;
    }
}

static ssize_t read_byte(cli_terminal *t, char *byte)
{
    t->was_pasted = false;
    if (t->has_kept) {
        t->has_kept = false;
        *byte = t->kept;
        return 1;
    }
    if (t->pasted_at == t->pasted.size_bytes) return wait_for_byte(t, byte);
    *byte = t->pasted.data[t->pasted_at++];
    t->was_pasted = *byte == '\n';
    return 1;
}

static int read_key(EditLine *edit, wchar_t *key)
{
    cli_terminal *t = NULL;
    char          bytes[ENX_UTF8_BYTES_MAX];
    uint32_t      character = 0;
    size_t        size = 0;
    el_get(edit, EL_CLIENTDATA, &t);
    do {
        const ssize_t count = read_byte(t, &bytes[size]);
        if (count <= 0) return (int)count;
        size++;
    } while (enx_utf8_complete_prefix(bytes, size) < size);
    if (enx_utf8_decode(bytes, size, &character) < size) {
        t->has_kept = true;
        t->kept = bytes[size - 1];
    }
    *key = character == ENX_UTF8_INVALID ? (wchar_t)0xFFFD : (wchar_t)character;
    return 1;
}

/* The text up to the second mark, without what begins like it; false: it is too long, or does not
 * come. */
static bool read_paste(cli_terminal *t)
{
    static const char end[] = PASTE_END;
    size_t            matched = 0;
    char              byte;
    while (end[matched]) {
        if (wait_for_byte(t, &byte) != 1) return false;
        matched = byte == end[matched] ? matched + 1 : byte == end[0];
        if (matched > 0) continue;
        if (byte == '\r') byte = '\n';
        const bool is_control = (uint8_t)byte < ' ' && byte != '\n' && byte != '\t';
        if (is_control || byte == '\x7F') continue;
        if (enx_buf_append(&t->pasted, &byte, 1) != ENX_OK) return false;
    }
    return true;
}

static unsigned char take_paste(EditLine *edit, int key)
{
    cli_terminal *t = NULL;
    (void)key;
    el_get(edit, EL_CLIENTDATA, &t);
    enx_buf_clear(&t->pasted);
    t->pasted_at = 0;
    return read_paste(t) ? CC_NORM : CC_ERROR;
}

static char *prompt_of(EditLine *edit)
{
    cli_terminal *t = NULL;
    el_get(edit, EL_CLIENTDATA, &t);
    return (char *)(uintptr_t)t->prompt;
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static void set_up(cli_terminal *t)
{
    el_set(t->edit, EL_CLIENTDATA, t);
    el_set(t->edit, EL_PROMPT, prompt_of);
    el_set(t->edit, EL_EDITOR, "emacs");
    el_set(t->edit, EL_SIGNAL, 0);
    el_set(t->edit, EL_GETCFN, read_key);
    /* by wide texts, which libedit keeps as they are; it never frees its copies of others */
    el_wset(t->edit, EL_ADDFN, L"enxame-paste", L"Take what is pasted", take_paste);
    el_set(t->edit, EL_BIND, PASTE_BEGIN, "enxame-paste", NULL);
    el_set(t->edit, EL_BIND, "^I", "ed-insert", NULL);
    el_set(t->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    if (!t->history) return;
    HistEvent event;
    history(t->history, &event, H_SETSIZE, CLI_EDITOR_LINES_MAX);
    history(t->history, &event, H_SETUNIQUE, 1);
    el_set(t->edit, EL_HIST, history, t->history);
}

cli_terminal *cli_terminal_open(void)
{
    const char *term = getenv("TERM");
    /* libedit asks the locale how wide a character is, and which it can show */
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    cli_terminal *t = ENX_MEM_NEW(cli_terminal, 1);
    if (!t) return NULL;
    t->is_plain = !term || strcmp(term, "dumb") == 0;
    t->prompt = "";
    enx_buf_init(&t->pasted, CLI_EDITOR_LINE_BYTES_MAX);
    t->history = history_init();
    t->edit = el_init("enxame", stdin, stderr, stderr);
    if (!t->edit) {
        cli_terminal_close(&t);
        return NULL;
    }
    set_up(t);
    return t;
}

void cli_terminal_close(cli_terminal **terminal)
{
    cli_terminal *t = *terminal;
    if (!t) return;
    if (t->edit) el_end(t->edit);
    if (t->history) history_end(t->history);
    enx_buf_deinit(&t->pasted);
    enx_mem_free(t);
    *terminal = NULL;
}

static void ask_for_marks(const cli_terminal *t, const char *sequence)
{
    if (t->is_plain) return;
    fputs(sequence, stderr);
    fflush(stderr);
}

/* Listen to the signals that libedit's line is drawn by, and let none in yet. */
static void hold_signals(cli_terminal *t, struct sigaction kept[2])
{
    static const int       held[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP };
    const struct sigaction action = { .sa_handler = note_signal };
    sigset_t               blocked;
    sigaction(SIGWINCH, &action, &kept[0]);
    sigaction(SIGTSTP, &action, &kept[1]);
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) sigaddset(&blocked, held[i]);
    sigprocmask(SIG_BLOCK, &blocked, &t->open);
}

static void release_signals(const cli_terminal *t, const struct sigaction kept[2])
{
    sigaction(SIGWINCH, &kept[0], NULL);
    sigaction(SIGTSTP, &kept[1], NULL);
    sigprocmask(SIG_SETMASK, &t->open, NULL);
}

enx_status cli_terminal_read(cli_terminal *t, const char *prompt, enx_buf *line,
                             cli_editor_kind *kind)
{
    struct sigaction kept[2];
    int              count = 0;
    hold_signals(t, kept);
    t->prompt = prompt;
    el_set(t->edit, EL_PREP_TERM, 1); /* before the prompt is seen: Ctrl-D is a key from then on */
    ask_for_marks(t, PASTE_ON);
    const char *text = el_gets(t->edit, &count);
    ask_for_marks(t, PASTE_OFF);
    release_signals(t, kept);
    if (cli_was_interrupted() || cli_is_ending() || !text || count <= 0) {
        *kind = cli_was_interrupted() && !cli_is_ending() ? CLI_EDITOR_INTERRUPT : CLI_EDITOR_END;
        cli_forget_interrupts();
        enx_buf_clear(&t->pasted);
        t->pasted_at = 0;
        fputc('\n', stderr);
        return ENX_OK;
    }
    *kind = t->was_pasted ? CLI_EDITOR_PASTED : CLI_EDITOR_LINE;
    return enx_buf_append(line, text, (size_t)count - (text[count - 1] == '\n'));
}

void cli_terminal_remember(cli_terminal *t, const char *line)
{
    HistEvent event;
    if (t->history && line[0]) history(t->history, &event, H_ENTER, line);
}

#endif
