/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/prime_sieve.c - the first 100 primes by a chain of coroutines, joined by channels.
 *
 * A generator sends 2, 3, 4 ...; each prime that comes out at the end of the chain becomes one
 * more filter there, which lets pass what its prime does not divide.  The channels have capacity
 * 0: every number is handed from one coroutine to the next.
 *
 * References: a coroutine owns one to each channel it was given, and gives it back when it ends.
 */
#include <stdio.h>
#include <weft.h>

#define PRIMES 100

struct filter {
    weft_chan *in, *out;
    int        prime;
};

/* Ends when a send fails: here because main has returned, which cancels everybody. */
static void generate(void *arg)
{
    weft_chan *out = arg;

    for (int n = 2; weft_chan_send(out, &n) == 0; n++) {
    }
    weft_chan_unref(out);
}

static void sift(void *arg)
{
    const struct filter *filter = arg;
    int                  n;

    while (weft_chan_recv(filter->in, &n) == 0) {
        if (n % filter->prime != 0 && weft_chan_send(filter->out, &n) < 0) {
            break;
        }
    }
    weft_chan_unref(filter->in);
    weft_chan_unref(filter->out);
}

/* A filter behind `in`, whose reference it takes over; what passes it, or NULL. */
static weft_chan *add_filter(weft_chan *in, int prime)
{
    weft_chan *out = weft_chan_new(sizeof(int), 0);

    if (out != NULL) {
        struct filter filter = { in, weft_chan_ref(out), prime };
        if (weft_go(sift, &filter, sizeof(filter)) == 0) {
            return out;
        }
        weft_chan_unref(out);
        weft_chan_unref(out);
    }
    weft_chan_unref(in);
    return NULL;
}

static int sieve(void *arg)
{
    weft_chan *numbers = weft_chan_new(sizeof(int), 0);
    int        prime;

    (void)arg;
    if (numbers == NULL || weft_go(generate, weft_chan_ref(numbers), 0) < 0) {
        fprintf(stderr, "prime_sieve: cannot start the generator: out of memory\n");
        return 1;
    }
    for (int i = 1; i <= PRIMES; i++) {
        weft_chan_recv(numbers, &prime);
        printf("%3d%c", prime, i % 10 == 0 ? '\n' : ' ');
        numbers = add_filter(numbers, prime);
        if (numbers == NULL) {
            fprintf(stderr, "prime_sieve: cannot start filter %d: out of memory\n", i);
            return 1;
        }
    }
    weft_chan_unref(numbers);
    return 0;
}

int main(void)
{
    return weft_run(NULL, sieve, NULL) == 0 ? 0 : 1;
}
