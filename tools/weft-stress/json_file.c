/* SPDX-License-Identifier: Apache-2.0 */
/* weft-stress/json_file.c - see json_file.h.  It never truncates before there is something to
 * write, so that a run that fails leaves an earlier run's figures alone. */
#include "json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int json_file_open(struct json_file *f, const char *path)
{
    f->path = path;
    f->made = true;
    f->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f->fd < 0 && errno == EEXIST) {
        f->made = false;
        f->fd = open(path, O_WRONLY | O_CLOEXEC);
    }
    return f->fd < 0 ? -errno : 0;
}

static int write_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t n = write(fd, text, left);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n > 0) {
            text += n;
            left -= (size_t)n;
        }
    }
    return 0;
}

int json_file_write(struct json_file *f, const char *text)
{
    /* A pipe or a terminal cannot be truncated, and need not be. */
    int err = ftruncate(f->fd, 0) < 0 && errno != EINVAL ? -errno : 0;

    if (err == 0) {
        err = write_all(f->fd, text);
    }
    if (close(f->fd) < 0 && err == 0) {
        err = -errno;
    }
    return err;
}

void json_file_discard(struct json_file *f)
{
    close(f->fd);
    if (f->made) {
        unlink(f->path);
    }
}
