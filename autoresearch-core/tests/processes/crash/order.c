/* Notes every fsync and rename of a process, in order: `fsync PATH` or `rename FROM TO` in the file $ORDER_LOG. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void note(const char *format, ...) {
    const char *log = getenv("ORDER_LOG");
    char line[3 * PATH_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    int file = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (file >= 0) {
        if (write(file, line, length) != length) abort();
        close(file);
    }
}

static int synced(int fd, const char *name) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    int result = ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
    if (result == 0 && length > 0) {
        path[length] = 0;
        note("fsync %s\n", path);
    }
    return result;
}

int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }

int rename(const char *from, const char *to) {
    int result = ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(from, to);
    if (result == 0) note("rename %s %s\n", from, to);
    return result;
}

int link(const char *from, const char *to) {
    int result = ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "link"))(from, to);
    if (result == 0) note("rename %s %s\n", from, to);
    return result;
}
