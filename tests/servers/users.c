/* Lets a POP3 server that wants root, the system's users and /var/mail run as anybody, for the tests: the environment says
   who may log in (POP_USER, POP_PASSWORD) and where the mail is (POP_MAIL); POP_LINGER is a pause, in milliseconds,
   before each file that it removes, as on a slow disk.  Built as a shared object and named in LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

/* The one user.  Servers refuse root's mail. */
static struct passwd *user(void) {
    static struct passwd user;
    static char home[4096], hidden[8];
    snprintf(home, sizeof home, "%s", setting("POP_MAIL"));
    user.pw_name = (char *)setting("POP_USER");
    /* popa3d overwrites it. */
    user.pw_passwd = strcpy(hidden, "x");
    user.pw_uid = getuid() ? getuid() : 65534;
    user.pw_gid = getuid() ? getgid() : 65534;
    user.pw_gecos = "";
    user.pw_dir = home;
    user.pw_shell = "/bin/sh";
    return &user;
}

struct passwd *getpwnam(const char *name) {
    /* popa3d asks for a user of its own. */
    return strcmp(name, setting("POP_USER")) && strcmp(name, "popa3d") ? NULL : user();
}

struct passwd *getpwuid(uid_t uid) {
    (void)uid;
    return user();
}

int setuid(uid_t uid) { return (void)uid, 0; }
int setgid(gid_t gid) { return (void)gid, 0; }
int setgroups(size_t count, const gid_t *groups) { return (void)count, (void)groups, 0; }
int initgroups(const char *name, gid_t gid) { return (void)name, (void)gid, 0; }
int chroot(const char *path) { return (void)path, 0; }

/* Only servers that shut themselves in call this by themselves, and with a path that isn't there. */
int chdir(const char *path) { return (void)path, 0; }

/* PAM, as far as a server needs it. */
struct message { int style; const char *text; };
struct response { char *text; int code; };
struct conversation {
    int (*ask)(int, const struct message **, struct response **, void *);
    void *data;
};

static struct conversation talk;
static char logged_in[256];

int pam_start(const char *service, const char *name, const struct conversation *given, void **handle) {
    (void)service;
    talk = *given;
    snprintf(logged_in, sizeof logged_in, "%s", name ? name : "");
    *handle = &talk;
    return 0;
}

int pam_authenticate(void *handle, int flags) {
    struct message prompt = {1, "Password: "};
    const struct message *prompts = &prompt;
    struct response *response = NULL;
    (void)handle, (void)flags;
    if (talk.ask(1, &prompts, &response, talk.data) || !response || !response->text) return 7;
    return strcmp(response->text, setting("POP_PASSWORD")) || strcmp(logged_in, setting("POP_USER")) ? 7 : 0;
}

int pam_get_item(const void *handle, int type, const void **item) {
    (void)handle, (void)type;
    *item = logged_in;
    return 0;
}

int pam_acct_mgmt(void *handle, int flags) { return (void)handle, (void)flags, 0; }
int pam_setcred(void *handle, int flags) { return (void)handle, (void)flags, 0; }
int pam_open_session(void *handle, int flags) { return (void)handle, (void)flags, 0; }
int pam_close_session(void *handle, int flags) { return (void)handle, (void)flags, 0; }
int pam_end(void *handle, int status) { return (void)handle, (void)status, 0; }

/* A path below /var/mail, as it is here. */
static const char *here(const char *path, char *room, size_t size) {
    static const char spool[] = "/var/mail/";
    if (strncmp(path, spool, sizeof spool - 1)) return path;
    snprintf(room, size, "%s/%s", setting("POP_MAIL"), path + sizeof spool - 1);
    return room;
}

int open(const char *path, int flags, ...) {
    char room[4096];
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    return real(here(path, room, sizeof room), flags, mode);
}

int lstat(const char *path, struct stat *found) {
    char room[4096];
    int (*real)(const char *, struct stat *) = dlsym(RTLD_NEXT, "lstat");
    return real(here(path, room, sizeof room), found);
}

int unlink(const char *path) {
    long pause = atol(setting("POP_LINGER"));
    struct timespec time = {pause / 1000, pause % 1000 * 1000000};
    nanosleep(&time, NULL);
    int (*real)(const char *) = dlsym(RTLD_NEXT, "unlink");
    return real(path);
}
