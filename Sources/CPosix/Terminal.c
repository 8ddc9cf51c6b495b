// A terminal whose lines the program edits itself, and its own mode again however the process ends. The handlers call only
// what signal-safety(7) allows; tcsetattr(3) is among that.
#define _GNU_SOURCE
#include "CPosix.h"

#include <signal.h>
#include <stdint.h>
#include <termios.h>
#include <unistd.h>

static struct termios found, editing;
static volatile sig_atomic_t is_editing;
static int wake_up = -1;

static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
enum { crash_count = sizeof crashes / sizeof crashes[0] };
static struct sigaction crash_actions[crash_count];

// A process in the background that changes the mode would be stopped, and would take the mode of the one in front.
static int is_in_front(void) {
    pid_t front = tcgetpgrp(STDIN_FILENO);
    return front == -1 || front == getpgrp();  // A terminal that is not the process's own has nobody in front.
}

static void edit_again(void) {
    if (!is_editing || !is_in_front()) return;
    tcsetattr(STDIN_FILENO, TCSANOW, &editing);
    const uint64_t one = 1;
    if (wake_up >= 0 && write(wake_up, &one, sizeof one) < 0) return;
}

static void give_back(void) {
    if (is_editing && is_in_front()) tcsetattr(STDIN_FILENO, TCSANOW, &found);
}

// The handler is reset, so the signal ends the process as if nothing had caught it.
static void ended(int signal) {
    give_back();
    if (write(STDERR_FILENO, "\n", 1) < 0) { /* It is gone; the process ends anyway. */ }
    raise(signal);
}

static void crashed(int signal) {
    give_back();
    for (int index = 0; index < crash_count; index++) {
        if (crashes[index] == signal) sigaction(signal, &crash_actions[index], NULL);
    }
    raise(signal);
}

static void stopped(int signal) {
    give_back();
    struct sigaction standard = {.sa_handler = SIG_DFL}, own;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigaction(signal, &standard, &own);
    raise(signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    // The process runs again.
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sigaction(signal, &own, NULL);
    edit_again();
}

static void continued(int signal) {
    (void)signal;
    edit_again();
}

static void handle(int signal, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags | SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    // What is ignored stays ignored.
    if (sigaction(signal, NULL, &before) == 0 && before.sa_handler == SIG_DFL) sigaction(signal, &action, NULL);
}

int cposix_edit_lines(int wake) {
    if (tcgetattr(STDIN_FILENO, &found) != 0) return -1;
    editing = found;
    editing.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    editing.c_cc[VMIN] = 1;
    editing.c_cc[VTIME] = 0;
    wake_up = wake;
    is_editing = 1;
    for (int index = 0; index < (int)(sizeof ends / sizeof ends[0]); index++) {
        handle(ends[index], ended, SA_RESETHAND | SA_NODEFER);
    }
    for (int index = 0; index < crash_count; index++) {
        struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK};
        sigemptyset(&action.sa_mask);
        sigaction(crashes[index], &action, &crash_actions[index]);
    }
    handle(SIGTSTP, stopped, 0);
    handle(SIGCONT, continued, 0);
    if (!is_in_front()) return 0;
    return tcsetattr(STDIN_FILENO, TCSANOW, &editing);
}

void cposix_restore_lines(void) {
    give_back();
    is_editing = 0;
}
