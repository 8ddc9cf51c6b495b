// What a process has from the one that started it, by system calls alone: the C library hides the two signals that it
// keeps for itself, and the kernel knows no sigset_t.
#define _GNU_SOURCE
#include "CPosix.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

enum { mask_size = 8, slack_of_a_process = 50000 };

// The kernel's struct sigaction begins with the handler on every architecture that Swift has for Linux.
union action {
    void *handler;
    char room[64];
};

int cposix_disposition(int signal) {
    union action action = {0};
    if (syscall(SYS_rt_sigaction, signal, NULL, &action, mask_size) != 0) return 0;
    return action.handler == (void *)SIG_DFL ? 0 : action.handler == (void *)SIG_IGN ? 1 : 2;
}

void cposix_set_disposition(int signal, int is_ignored) {
    union action action = {0};
    if (is_ignored) action.handler = (void *)SIG_IGN;
    syscall(SYS_rt_sigaction, signal, &action, NULL, mask_size);
}

unsigned long long cposix_blocked_signals(void) {
    unsigned long long mask = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &mask, mask_size);
    return mask;
}

void cposix_block_signals(unsigned long long mask) {
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, mask_size);
}

unsigned long long cposix_pending_signals(void) {
    unsigned long long mask = 0;
    syscall(SYS_rt_sigpending, &mask, mask_size);
    return mask;
}

int cposix_stop_timers(void) {
    const struct itimerval none = {0};
    int were_running = 0;
    for (int timer = ITIMER_REAL; timer <= ITIMER_PROF; timer++) {
        struct itimerval before = {0};
        if (setitimer(timer, &none, &before) != 0) continue;
        if (before.it_value.tv_sec != 0 || before.it_value.tv_usec != 0) were_running = 1;
    }
    return were_running;
}

int cposix_reset_timer_slack(void) {
    if (prctl(PR_GET_TIMERSLACK) <= slack_of_a_process) return 0;
    return prctl(PR_SET_TIMERSLACK, (unsigned long)slack_of_a_process) == 0;
}

int cposix_death_signal(void) {
    int signal = 0;
    return prctl(PR_GET_PDEATHSIG, &signal) == 0 ? signal : 0;
}

void cposix_set_death_signal(int signal) { prctl(PR_SET_PDEATHSIG, (unsigned long)signal); }

void cposix_set_thread_stack(size_t size) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return;
    if (pthread_attr_setstacksize(&attributes, size) == 0) pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

static void *wait_for_turn(void *lock) {
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    return NULL;
}

int cposix_try_threads(int count) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[16];
    int started = 0, error = 0;
    pthread_mutex_lock(&lock);  // All of them live until the last has started.
    while (started < count && started < 16 && error == 0) {
        error = pthread_create(&threads[started], NULL, wait_for_turn, &lock);
        if (error == 0) started++;
    }
    pthread_mutex_unlock(&lock);
    for (int index = 0; index < started; index++) pthread_join(threads[index], NULL);
    return error;
}

// Each variable is looked for among those before it by a table of hashes: there may be thousands.
static size_t hash(const char *name, size_t length) {
    size_t sum = 1469598103934665603ULL;
    for (size_t index = 0; index < length; index++) sum = (sum ^ (unsigned char)name[index]) * 1099511628211ULL;
    return sum;
}

size_t cposix_clean_environment(void) {
    size_t count = 0, kept = 0, room = 16;
    while (environ && environ[count]) count++;
    while (room < 2 * count) room *= 2;
    const char **names = calloc(room, sizeof *names);
    if (!names) return 0;
    for (size_t index = 0; index < count; index++) {
        char *variable = environ[index];
        const char *end = strchr(variable, '=');
        if (!end || end == variable) continue;
        const size_t length = (size_t)(end - variable) + 1;
        size_t place = hash(variable, length) & (room - 1);
        while (names[place] && strncmp(names[place], variable, length) != 0) place = (place + 1) & (room - 1);
        if (names[place]) continue;
        names[place] = variable;
        environ[kept++] = variable;
    }
    if (environ && count > 0) environ[kept] = NULL;
    free(names);
    return count - kept;
}

// The standard library looks for the arguments in /proc/self/maps, and has none where it cannot open that: a server
// would start without its flags. The C library hands them to each function that runs before main.
#ifdef __GLIBC__
__attribute__((weak)) void _swift_stdlib_overrideUnsafeArgvArgc(char **arguments, int count);

__attribute__((constructor)) static void keep_arguments(int count, char **arguments, char **environment) {
    (void)environment;
    if (_swift_stdlib_overrideUnsafeArgvArgc) _swift_stdlib_overrideUnsafeArgvArgc(arguments, count);
}
#endif
