/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lint_cases.c - for lint.sh, compiled and never run: in each bad_* an address of a thread-local
 * survives a park, in no good_* one does.  keep() makes the compiler hold on to what it might else
 * compute anew.
 */
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

#define NOINLINE __attribute__((noinline))
#define CLOBBER_SAVED                                                                              \
    __asm__ volatile(""                                                                            \
                     :                                                                             \
                     :                                                                             \
                     : "rbx", "r12", "r13", "r14", "r15", "rax", "rcx", "rdx", "rsi", "rdi", "r8", \
                       "r9", "r10", "r11", "memory")

#define keep(p) __asm__ volatile("" : "+r"(p))

struct state {
    long n, table[8];
};

extern _Thread_local struct state  shared_state; /* another object's */
static _Thread_local struct state  mine;
static _Thread_local struct state *own;
static void (*volatile callback)(struct state *s);
extern weft_chan *chan;

void take(struct state *s); /* another object's: parks for all that is known, but no call says so */

NOINLINE struct state *current_state(void)
{
    struct state *s = &mine;
    __asm__ volatile("" : "+r"(s) : : "memory");
    return s;
}

/* ---- Bad ------------------------------------------------------------------------------------- */

void bad_kept_in_a_register(void);
void bad_kept_in_a_register(void)
{
    struct state *s = &mine;
    keep(s);
    weft_yield();
    s->n++;
}

void bad_kept_on_the_stack(void);
void bad_kept_on_the_stack(void)
{
    struct state *s = &mine;
    keep(s);
    weft_yield();
    CLOBBER_SAVED;
    s->n++;
}

int bad_errno(void);
int bad_errno(void)
{
    errno = 0;
    weft_sleep(1);
    return (int)strtol("1", NULL, 10) + errno;
}

void bad_in_a_loop(int n);
void bad_in_a_loop(int n)
{
    struct state *s = &shared_state;
    keep(s);
    for (int i = 0; i < n; i++) {
        s->n += i;
        weft_chan_send(chan, &i);
    }
}

void bad_address_of_a_part(int i);
void bad_address_of_a_part(int i)
{
    struct state *s = &mine;
    keep(s);
    long *at = &s->table[i];
    weft_sleep(1);
    *at = 1;
}

void bad_from_an_accessor(void);
void bad_from_an_accessor(void)
{
    struct state *s = current_state();
    s->n = 1;
    weft_yield();
    s->n = 2;
}

static NOINLINE int parks_below(void)
{
    return weft_sleep(1) + 1;
}

static NOINLINE int parks_two_below(void)
{
    return parks_below() + 1;
}

int bad_parks_in_a_callee(void);
int bad_parks_in_a_callee(void)
{
    struct state *s = current_state();
    int           r = parks_two_below();
    s->n = r;
    return r;
}

void bad_passed_on(void);
void bad_passed_on(void)
{
    struct state *s = current_state();
    weft_yield();
    take(s);
}

void bad_called_by_pointer(void);
void bad_called_by_pointer(void)
{
    struct state *s = current_state();
    weft_yield();
    callback(s);
}

struct state *bad_returned(void);
struct state *bad_returned(void)
{
    struct state *s = current_state();
    weft_yield();
    return s;
}

void bad_on_one_path(int which);
void bad_on_one_path(int which)
{
    struct state *s = current_state();
    switch (which) {
    case 0:
        s->n = 1;
        break;
    case 1:
        s->table[0] = 7;
        break;
    case 2:
        printf("two\n");
        break;
    case 3:
        weft_yield();
        s->table[1] = 3;
        break;
    case 4:
        s->table[3] = 7;
        puts("four");
        break;
    case 5:
        s->table[4] = 9;
        break;
    case 6:
        s->table[5] = 7;
        break;
    }
}

int bad_self(void);
int bad_self(void)
{
    pthread_t me = pthread_self();
    weft_yield();
    return pthread_detach(me);
}

void bad_stored_elsewhere(struct state **out);
void bad_stored_elsewhere(struct state **out)
{
    struct state *s = current_state();
    weft_yield();
    *out = s;
}

/* ---- Good ------------------------------------------------------------------------------------ */

void good_taken_anew(void);
void good_taken_anew(void)
{
    current_state()->n = 1;
    weft_yield();
    current_state()->n = 2;
}

long good_value_kept(void);
long good_value_kept(void)
{
    long n = current_state()->n;
    weft_yield();
    return n;
}

void good_set(struct state *s);
void good_set(struct state *s)
{
    own = s;
}

/* What is read from a thread-local may be an address: not of this thread's. */
void good_pointer_kept(void);
void good_pointer_kept(void)
{
    struct state *s = own;
    current_state()->n = 1;
    weft_yield();
    s->n++;
}

void good_no_park(void);
void good_no_park(void)
{
    struct state *s = current_state();
    s->n = weft_now();
    printf("%ld %d\n", s->n, weft_procs());
    s->n++;
}

void good_park_first(void);
void good_park_first(void)
{
    weft_yield();
    struct state *s = current_state();
    s->n++;
    printf("%ld\n", s->n);
    s->n++;
}

int good_other_path(int n);
int good_other_path(int n)
{
    struct state *s = current_state();
    s->n = n;
    if (n > 3)
        return weft_sleep(1);
    s->table[n] = weft_now();
    return (int)s->table[n - 1];
}

void good_loop(int n);
void good_loop(int n)
{
    for (int i = 0; i < n; i++) {
        struct state *s = current_state();
        s->n = weft_now();
        s->table[i & 7] = i;
        weft_yield();
    }
}

int good_errno_before(void);
int good_errno_before(void)
{
    errno = 0;
    long n = strtol("17", NULL, 10);
    int  err = errno;
    weft_yield();
    return (int)n + err;
}

/* With -fstack-protector-all the canary is read through %fs before and after. */
int good_buffer(void);
int good_buffer(void)
{
    char text[64];
    snprintf(text, sizeof text, "%lld", (long long)weft_now());
    weft_yield();
    return atoi(text);
}

int good_many_registers(int a, int b, int c, int d, int e);
int good_many_registers(int a, int b, int c, int d, int e)
{
    struct state *s = current_state();
    int           sum = (int)s->n;
    keep(a);
    s->n = a;
    weft_yield();
    CLOBBER_SAVED;
    return a + b + c + d + e + sum;
}

/* weft/errno.h last: from here on errno is looked up each time. */
#include <weft/errno.h>

int good_errno_of_weft(void);
int good_errno_of_weft(void)
{
    errno = 0;
    weft_sleep(1);
    return (int)strtol("1", NULL, 10) + errno;
}
