/* Makes one system call on files below a folder fail, or kills the process at it.

Built and preloaded by `tests.attack.calls`. Environment variables:

ATTACK_FOLDER  count calls on paths below this folder
ATTACK_AT      the number of the call, from 1; 0: only count
ATTACK_ERRNO   its errno; 0: SIGKILL
ATTACK_LOG     file that receives the number of all calls at the end, and the call that failed
*/
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *folder, *log_path;
static long at, calls;
static int error_number;
static __thread int inside;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("ATTACK_FOLDER");
    log_path = getenv("ATTACK_LOG");
    at = getenv("ATTACK_AT") ? atol(getenv("ATTACK_AT")) : 0;
    error_number = getenv("ATTACK_ERRNO") ? atoi(getenv("ATTACK_ERRNO")) : EIO;
}

static void log_text(const char *name, const char *path) {
    char text[PATH_MAX + 100];
    int length = snprintf(text, sizeof text, "%ld %s %s\n", calls, name, path);
    if (!log_path) return;
    int log_file = open(log_path, O_WRONLY | O_APPEND | O_CREAT, 0666);
    if (log_file < 0) return;
    if (write(log_file, text, length) < 0) _exit(99);
    close(log_file);
}

__attribute__((destructor)) static void finish(void) {
    inside = 1;
    if (folder && !at) log_text("total", "");
}

/* Count a call; return whether it fails. */
static int fails(const char *name, int at_fd, const char *path) {
    char link[40], place[PATH_MAX];
    int wanted = 0, saved = errno;
    if (!folder || inside) return 0;
    inside = 1;
    if (!path || (path[0] != '/' && at_fd != AT_FDCWD)) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", at_fd);
        ssize_t length = readlink(link, place, sizeof place - 1);
        place[length < 0 ? 0 : length] = 0;
        path = place;
    }
    if (!strncmp(path, folder, strlen(folder))) {
        long number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
        if (at && number == at) {
            log_text(name, path);
            if (!error_number) kill(getpid(), SIGKILL);
            wanted = 1;
        }
    }
    inside = 0;
    errno = wanted ? error_number : saved;
    return wanted;
}

#define REAL(kind, name) static kind (*real)(); if (!real) real = (kind (*)())dlsym(RTLD_NEXT, #name)
#define ON_PATH(name, types, path, ...) \
    int name types { REAL(int, name); \
        return fails(#name, AT_FDCWD, path) ? -1 : real(__VA_ARGS__); }
#define AT_PATH(name, types, fd, path, ...) \
    int name types { REAL(int, name); return fails(#name, fd, path) ? -1 : real(__VA_ARGS__); }
#define ON_FILE(kind, name, types, fd, ...) \
    kind name types { REAL(kind, name); return fails(#name, fd, NULL) ? -1 : real(__VA_ARGS__); }
#define OPEN(name) \
    int name(const char *path, int flags, ...) { REAL(int, name); \
        va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
        return fails(#name, AT_FDCWD, path) ? -1 : real(path, flags, mode); }
#define OPENAT(name) \
    int name(int fd, const char *path, int flags, ...) { REAL(int, name); \
        va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
        return fails(#name, fd, path) ? -1 : real(fd, path, flags, mode); }
#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { REAL(FILE *, name); \
        return fails(#name, AT_FDCWD, path) ? NULL : real(path, mode); }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
DIR *opendir(const char *path) {
    REAL(DIR *, opendir);
    return fails("opendir", AT_FDCWD, path) ? NULL : real(path);
}
ON_PATH(mkdir, (const char *path, mode_t mode), path, path, mode)
ON_PATH(rmdir, (const char *path), path, path)
ON_PATH(unlink, (const char *path), path, path)
ON_PATH(rename, (const char *path, const char *to), path, path, to)
ON_PATH(link, (const char *path, const char *to), path, path, to)
ON_PATH(stat, (const char *path, struct stat *status), path, path, status)
ON_PATH(stat64, (const char *path, struct stat64 *status), path, path, status)
ON_PATH(lstat, (const char *path, struct stat *status), path, path, status)
ON_PATH(lstat64, (const char *path, struct stat64 *status), path, path, status)
AT_PATH(fstatat, (int fd, const char *path, struct stat *status, int flags), fd, path, fd, path,
        status, flags)
AT_PATH(fstatat64, (int fd, const char *path, struct stat64 *status, int flags), fd, path, fd, path,
        status, flags)
AT_PATH(mkdirat, (int fd, const char *path, mode_t mode), fd, path, fd, path, mode)
AT_PATH(unlinkat, (int fd, const char *path, int flags), fd, path, fd, path, flags)
AT_PATH(renameat, (int fd, const char *path, int to_fd, const char *to), fd, path, fd, path, to_fd,
        to)
AT_PATH(linkat, (int fd, const char *path, int to_fd, const char *to, int flags), fd, path, fd,
        path, to_fd, to, flags)
ON_FILE(ssize_t, read, (int fd, void *data, size_t size), fd, fd, data, size)
ON_FILE(ssize_t, pread, (int fd, void *data, size_t size, off_t start), fd, fd, data, size, start)
ON_FILE(ssize_t, pread64, (int fd, void *data, size_t size, off64_t start), fd, fd, data, size,
        start)
ON_FILE(ssize_t, write, (int fd, const void *data, size_t size), fd, fd, data, size)
ON_FILE(int, fsync, (int fd), fd, fd)
ON_FILE(int, fdatasync, (int fd), fd, fd)
ON_FILE(int, ftruncate, (int fd, off_t size), fd, fd, size)
ON_FILE(int, ftruncate64, (int fd, off64_t size), fd, fd, size)
ON_FILE(int, fstat, (int fd, struct stat *status), fd, fd, status)
ON_FILE(int, fstat64, (int fd, struct stat64 *status), fd, fd, status)
