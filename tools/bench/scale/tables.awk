# SPDX-License-Identifier: Apache-2.0
#
# tables.awk: the figures of bench_scale as Markdown.  First what was counted, a table for each
# workload; then what that comes to on larger machines, by the rule in docs/scaling.md:
#
#   busy(n cores) = n * events per operation * price of one / CPU time of an operation
#
# A lock's price is how long it was held plus two cache lines that must be fetched (its own and
# one that it guards); an atomic word's is one line.  -v line=NS replaces the measured line.

BEGIN { FS = "\t" }

$1 == "count" {
    if (!($2 in works)) { works[$2]; work_order[++n_works] = $2 }
    if (!($3 in procs)) { procs[$3]; proc_order[++n_procs] = $3 }
    if (!(($2, $4) in rows)) { rows[$2, $4]; row_order[$2, ++n_rows[$2]] = $4 }
    events[$2, $4, $3] = $5
    moved[$2, $4, $3] = $6
}
$1 == "hold" { held[$2, $3] = $4 }
$1 == "rate" { if (!($2 in rate) || $3 < rate[$2]) rate[$2] = $3 }
$1 == "price" { price[$2] = $3 }

function figure(x)
{
    return x == 0 ? "0" : x >= 100 ? sprintf("%.0f", x) : x >= 0.001 ? sprintf("%.3g", x) : "<0.001"
}

function cell(w, row, p)
{
    if (!((w, row, p) in events)) return ""
    if (row == "operations" || row == "threads") return events[w, row, p]
    if (row ~ /^all: cache/) return figure(moved[w, row, p])
    if (row ~ /^(lock |word |read |look )/ && row != "lock waited for")
        return figure(events[w, row, p]) " (" figure(moved[w, row, p]) ")"
    return figure(events[w, row, p])
}

function print_counts(w,    i, j, line)
{
    printf "\n### %s: per operation, of n Ps\n\n| n =", w
    for (j = 1; j <= n_procs; j++) printf " | %s", proc_order[j]
    printf " |\n|---"
    for (j = 1; j <= n_procs; j++) printf "|---"
    print "|"
    for (i = 1; i <= n_rows[w]; i++) {
        line = "| " row_order[w, i]
        for (j = 1; j <= n_procs; j++) line = line " | " cell(w, row_order[w, i], proc_order[j])
        print line " |"
    }
}

# What all Ps share: its events per operation, and ns of one.
function shared(w, what, n, ns,    i)
{
    if (n == 0 || !(w in rate)) return
    if (192 * n * ns / rate[w] < 0.1) return
    lines[++n_lines] = sprintf("%012.3f\t| %s | %s | %s | %.0f | %.0f %% | %.0f %% | %.0f %% | %s |",
        n * ns / rate[w], w, what, figure(n), ns, 1600 * n * ns / rate[w],
        6400 * n * ns / rate[w], 19200 * n * ns / rate[w], figure(rate[w] / (n * ns)))
}

function saturation(w, p,    i, row, sched_n, sched_ns, n)
{
    for (i = 1; i <= n_rows[w]; i++) {
        row = row_order[w, i]
        n = events[w, row, p]
        if (row ~ /^lock sched/) {
            sched_n += n
            sched_ns += n * (held[w, row] + 2 * line)
        } else if (row ~ /^lock (gpool|stack pool|poll_cache)/) {
            shared(w, row, n, held[w, row] + 2 * line)
        } else if (row ~ /^word (n_|futile|poll_|gate|gpool|np)/) {
            shared(w, row, n, line)
        }
    }
    if (sched_n > 0) shared(w, "lock sched", sched_n, sched_ns / sched_n)
    n = events[w, "calls of epoll_ctl", p] * (price["epoll_ctl ADD"] + price["epoll_ctl DEL"]) / 2 + \
        events[w, "calls of epoll_wait", p] * price["epoll_wait"] + \
        events[w, "events of epoll_wait", p] * price["event"]
    shared(w, "the epoll set (kernel)", n > 0, n)
}

END {
    if (!line) line = price["line"]
    for (i = 1; i <= n_works; i++) print_counts(work_order[i])
    most = proc_order[n_procs]
    for (i = 1; i <= n_works; i++)
        if (work_order[i] != "crowd") # its one mutex lets no second core in
            saturation(work_order[i], most)
    printf "\n### Busy, of what all share, by the counts with %s Ps; a cache line %.0f ns\n\n", most, line
    print "| workload | what | per operation | ns each | 16 cores | 64 | 192 | saturated at, cores |"
    print "|---|---|---|---|---|---|---|---|"
    sorter = "sort -rn | cut -f 2-"
    for (i = 1; i <= n_lines; i++) print lines[i] | sorter
    close(sorter)
    print "\n| workload | CPU time of an operation at 1 P, ns |\n|---|---|"
    for (i = 1; i <= n_works; i++) printf "| %s | %.0f |\n", work_order[i], rate[work_order[i]]
    print "\n| price | ns |\n|---|---|"
    for (what in price) printf "| %s | %.0f |\n", what, price[what] | "sort"
}
