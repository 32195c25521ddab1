# SPDX-License-Identifier: Apache-2.0
#
# The page of a run, from its figures: row, setting, peer, metric, value, unit, tab-separated.
# Medians, in brackets the least and the greatest, ratios of medians.  Invents nothing: what was not
# measured is a dash.
#
# Variables: machine (a file with the page's head), commands, parked, counter.

BEGIN {
    FS = "\t"
    dash = "–"
    # The goals of the compute rows on 1 P and 2 Ps: a figure in the row's unit, and a share of Go's;
    # 0: none.
    goal("yield", 10, 12, 0.10, 0.11)
    goal("start_join", 60, 80, 0.14, 0.21)
    goal("start_1000", 50, 60, 0.19, 0.24)
    goal("fib27", 60, 35, 0.20, 0.19)
    goal("fib38", 88, 46, 0.54, 0.41)
    goal("pingpong", 80, 90, 0.21, 0.25)
    goal("chan128", 20, 30, 0.45, 0.60)
    goal("select4", 0, 0, 1, 1)
    goal("mutex", 10, 10, 0.79, 0.79)
    goal("mutex100", 0, 17, 0, 0.40)
    goal("skynet", 350, 200, 0.34, 0.23)
    goal("sleeps", 400, 300, 0.26, 0.32)
    goal("sleepers_late", 1000, 1000, 0, 0)
    goal("sleepers_cpu", 0, 0, 1, 1)
    goal("timer", 60, 60, 0.17, 0.17)
    goal("wake_3us", 0, 5, 0, 0)
    title["yield"] = "yield, per switch, ns"
    title["start_join"] = "start and join, one at a time, ns"
    title["start_1000"] = "start, 1,000 at a time, ns"
    title["fib27"] = "fib(27), a start and a join at each of 318k nodes, ms"
    title["fib38"] = "fib(38), sequential below 22, ms"
    title["pingpong"] = "unbuffered channels, a round trip, ns"
    title["chan128"] = "channel of 128, per element, ns"
    title["select4"] = "select over 4 unbuffered channels, per element, ns"
    title["mutex"] = "mutex, uncontended, ns"
    title["mutex100"] = "mutex, 100 coroutines, ns"
    title["skynet"] = "skynet, a million leaves, ms"
    title["sleeps"] = "100,000 coroutines, ten sleeps of 1 to 20 ms each, ms"
    title["sleepers_late"] = "10,000 coroutines, ten sleeps of 1 to 20 ms: median lateness, us"
    title["sleepers_cpu"] = "the same: CPU, ms"
    title["timer"] = "timer, start and stop, ns"
    title["wake_3us"] = "woken every 3 us"
    title["wake_100us"] = "woken after 100 us asleep"
    title["wake_1ms"] = "woken after 1 ms asleep"
    title["start_park"] = "start and park, ns"
    title["wake_end"] = "wake all and let them end, ns"
    title["parked_rss"] = "resident bytes per parked coroutine"
    title["parked_pte"] = "page tables, bytes per parked coroutine"
    title["fcontext_2"] = "fcontext switch, 2 stacks, ns"
    title["fcontext_1000"] = "fcontext switch, round robin over 1,000 stacks, ns"
    title["fcontext_10000"] = "fcontext switch, round robin over 10,000 stacks, ns"
    title["futex_waker"] = "futex wake of a sleeping thread: the waker pays, ns"
    title["futex_sleeper"] = "futex wake of a sleeping thread: it runs after, ns"
    title["guard"] = "a stack's guard, 512 a call, ns"
    title["touch"] = "a stack's first touch, ns"
    title["guard_touch"] = "both, ns"
    title["fib38_alone"] = "fib(38) as a plain function, ms"
    title["net_1_same"] = "1 connection, 1 worker, client on the same core"
    title["net_64_same"] = "64 connections, 1 worker, client on the same core"
    title["net_1000_same"] = "1,000 connections, 1 worker, client on the same core"
    title["net_64_2w"] = "64 connections, 2 workers, unpinned"
    title["net_low"] = "low load: 1 connection, one request a ms, 2 workers, unpinned"
    aim["net_1_same"] = "hand-written + 0.2 us"
    aim["net_64_same"] = "hand-written + 0.4 us"
    aim["net_1000_same"] = "hand-written + 0.4 us"
    aim["net_64_2w"] = "hand-written with 1 thread x 1.15"
    aim["net_low"] = "p50 within 10 % of hand-written"
    title["syscalls_1w"] = "1 worker, client on the same core"
    title["syscalls_2w"] = "2 workers, unpinned"
    aim["syscalls_1w"] = "at most 2.15, futex 0.03"
    aim["syscalls_2w"] = "at most 2.3, futex 0.03"
    name["weft"] = "weft"; name["epoll"] = "hand-written epoll, 1 thread"
    name["epoll-2"] = "hand-written epoll, 2 threads"; name["go"] = "Go"
}

function goal(row, one, two, share1, share2)
{
    abs_goal[row, 1] = one; abs_goal[row, 2] = two
    go_goal[row, 1] = share1; go_goal[row, 2] = share2
}

NF == 6 {
    key = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4
    if (!(key in count)) {
        have[$1] = 1
    }
    value[key, ++count[key]] = $5 + 0
    sorted[key] = 0
}

# value[key, 1 .. n] in order: few values, so an insertion sort does.
function sort_values(key, n, i, j, v)
{
    if (sorted[key]) {
        return
    }
    for (i = 2; i <= n; i++) {
        v = value[key, i]
        for (j = i - 1; j > 0 && value[key, j] > v; j--) {
            value[key, j + 1] = value[key, j]
        }
        value[key, j + 1] = v
    }
    sorted[key] = 1
}

# The median, or -1 where nothing was measured.
function med(row, setting, peer, metric, key, n)
{
    key = row SUBSEP setting SUBSEP peer SUBSEP metric
    n = count[key]
    if (n == 0) {
        return -1
    }
    sort_values(key, n)
    return n % 2 ? value[key, (n + 1) / 2] : (value[key, n / 2] + value[key, n / 2 + 1]) / 2
}

function number(v)
{
    return v >= 1000 ? sprintf("%.0f", v) : v >= 100 ? sprintf("%.1f", v) : sprintf("%.3g", v)
}

function cell(row, setting, peer, metric, key, m)
{
    key = row SUBSEP setting SUBSEP peer SUBSEP metric
    m = med(row, setting, peer, metric)
    if (m < 0) {
        return dash
    }
    return number(m) " (" number(value[key, 1]) " to " number(value[key, count[key]]) ")"
}

function plain(row, setting, peer, metric, m)
{
    m = med(row, setting, peer, metric)
    return m < 0 ? dash : number(m)
}

function ratio(a, b)
{
    return a < 0 || b <= 0 ? dash : sprintf("%.2f", a / b)
}

# A share passes when it rounds to the goal, as both are printed.
function verdict(row, procs, w, g, has_ns, has_go, by_ns, by_go)
{
    has_ns = abs_goal[row, procs] > 0; has_go = go_goal[row, procs] > 0 && g > 0
    if (w < 0 || !has_ns && !has_go) {
        return dash
    }
    by_ns = has_ns && w <= abs_goal[row, procs]
    by_go = has_go && ratio(w, g) + 0 <= go_goal[row, procs]
    if (!has_ns || !has_go) {
        return by_ns || by_go ? "yes" : "no"
    }
    return by_ns && by_go ? "both" : by_ns ? "the figure" : by_go ? "the share" : "no"
}

function goal_text(row, procs, a, s)
{
    a = abs_goal[row, procs]; s = go_goal[row, procs]
    return (a > 0 ? a : "") (a > 0 && s > 0 ? ", " : "") (s > 0 ? s " of Go" : "")
}

function compute_row(row, procs, w, g)
{
    w = med(row, procs, "weft", "value"); g = med(row, procs, "go", "value")
    if (w < 0 && g < 0) {
        return
    }
    printf "| %s | %d | %s | %s | %s | %s | %s |\n", title[row], procs,
        cell(row, procs, "weft", "value"), cell(row, procs, "go", "value"), ratio(w, g),
        goal_text(row, procs), verdict(row, procs, w, g)
}

# Splits names into rows; how many, or 0 if none of them was measured.
function split_measured(names, rows, n, i)
{
    n = split(names, rows, " ")
    for (i = 1; i <= n; i++) {
        if (rows[i] in have) {
            return n
        }
    }
    return 0
}

function compute_table(rows, n, i, p)
{
    n = split_measured("yield start_join start_1000 fib27 fib38 pingpong chan128 select4 mutex " \
        "mutex100 skynet sleeps sleepers_late sleepers_cpu timer", rows)
    if (n == 0) {
        return
    }
    print "\n## Compute\n\nWall time per operation; less is better. P: a processor of the scheduler.\n"
    print "| what | Ps | weft | Go | weft / Go | goal | reached |"
    print "|---|---|---|---|---|---|---|"
    for (i = 1; i <= n; i++) {
        for (p = 1; p <= 2; p++) {
            compute_row(rows[i], p)
        }
    }
    if ("sleeps_ideal" in have) {
        printf "\nThe unluckiest of the 100,000 has %s ms to sleep.\n", plain("sleeps_ideal", 1, "weft", "value")
    }
    speedup("fib27"); speedup("fib38"); speedup("skynet")
}

function wake_row(row, floor, w, f)
{
    w = med(row, 2, "weft", "value"); f = med(floor, "-", "floor", "value")
    printf "| %s | %s | %s | %s | %s | ", title[row], cell(row, 2, "weft", "value"),
        cell(row, 2, "go", "value"), cell(floor, "-", "floor", "value"), ratio(w, f)
    if (row == "wake_1ms") {
        print "1.2 of the futex | " (w < 0 || f <= 0 ? dash : ratio(w, f) + 0 <= 1.2 ? "yes" : "no") " |"
    } else {
        print goal_text(row, 2) " | " verdict(row, 2, w, -1) " |"
    }
}

function wake_table()
{
    if (!("wake_3us" in have)) {
        return
    }
    print "\n## Waking a parked coroutine\n\nBy one that stays busy, on 2 Ps, the other one idle: from the" \
        " call to the woken one's first line, p50, us.\n"
    print "| what | weft | Go | bare futex | weft / futex | goal | reached |\n|---|---|---|---|---|---|---|"
    wake_row("wake_3us", "futex_busy_3us")
    wake_row("wake_100us", "futex_busy_100us")
    wake_row("wake_1ms", "futex_busy_1ms")
    printf "\nWhile one is busy and the other asleep, all other threads use %s us of CPU per ms (Go: %s).\n",
        plain("wake_1ms_burn", 2, "weft", "value"), plain("wake_1ms_burn", 2, "go", "value")
}

function speedup(row, w1, w2)
{
    w1 = med(row, 1, "weft", "value"); w2 = med(row, 2, "weft", "value")
    if (w1 > 0 && w2 > 0) {
        printf "\nweft's %s on 2 Ps is %.2f times as fast as on 1.\n", row, w1 / w2
    }
}

function parked_table(rows, n, i, p)
{
    if (!("parked_rss" in have)) {
        return
    }
    printf "\n## %d coroutines parked\n\n", parked
    print "| what | Ps | weft | Go | weft / Go |\n|---|---|---|---|---|"
    n = split("parked_rss parked_pte start_park wake_end", rows, " ")
    for (i = 1; i <= n; i++) {
        for (p = 1; p <= 2; p++) {
            printf "| %s | %d | %s | %s | %s |\n", title[rows[i]], p,
                cell(rows[i], p, "weft", "value"), cell(rows[i], p, "go", "value"),
                ratio(med(rows[i], p, "weft", "value"), med(rows[i], p, "go", "value"))
        }
    }
    print "\nGoals: 4,700 resident bytes; start and park within 700 ns of a bare stack's guard and"
    printf "first touch, measured in turn with it: %s ns here.\n", plain("guard_touch", "-", "floor", "value")
}

function floor_table(rows, n, i)
{
    n = split_measured("fcontext_2 fcontext_1000 fcontext_10000 futex_waker futex_sleeper guard " \
        "touch guard_touch fib38_alone", rows)
    if (n == 0) {
        return
    }
    print "\n## What the machine itself charges\n\n| what | median (least to greatest) |\n|---|---|"
    for (i = 1; i <= n; i++) {
        if (rows[i] in have) {
            printf "| %s | %s |\n", title[rows[i]], cell(rows[i], "-", "floor", "value")
        }
    }
}

function net_line(row, peer, base)
{
    if (med(row, "-", peer, "rps") < 0) {
        return
    }
    printf "| %s | %s | %s | %s | %s | %s | %s |\n", name[peer],
        cell(row, "-", peer, "server_cpu_us"),
        ratio(med(row, "-", peer, "server_cpu_us"), base), plain(row, "-", peer, "rps"),
        cell(row, "-", peer, "p50_us"), plain(row, "-", peer, "p99_us"),
        plain(row, "-", peer, "p999_us")
}

function net_table(rows, peers, n, i, k, begun)
{
    n = split("net_1_same net_64_same net_1000_same net_64_2w net_low", rows, " ")
    split("weft epoll epoll-2 go", peers, " ")
    for (i = 1; i <= n; i++) {
        if (!(rows[i] in have)) {
            continue
        }
        if (!begun++) {
            print "\n## Network: 64-byte echo over loopback\n\nOne client for all, hand-written, one" \
                " request in flight on each connection, every byte checked."
        }
        printf "\n### %s\n\nGoal: %s.\n\n", title[rows[i]], aim[rows[i]]
        print "| server | its CPU, us per request | to hand-written | requests/s | p50, us | p99, us | p99.9, us |"
        print "|---|---|---|---|---|---|---|"
        for (k = 1; k <= 4; k++) {
            net_line(rows[i], peers[k], med(rows[i], "-", "epoll", "server_cpu_us"))
        }
    }
}

function syscall_table(rows, peers, kinds, i, k, j, line)
{
    if (!("syscalls_1w" in have) && !("syscalls_2w" in have)) {
        return
    }
    printf "\n## System calls per request, 64 connections\n\nCounted by %s.\n\n", counter
    print "| workers | server | all | epoll_wait | read | write | futex | sleep | goal |"
    print "|---|---|---|---|---|---|---|---|---|"
    split("syscalls_1w syscalls_2w", rows, " ")
    split("weft epoll epoll-2 go", peers, " ")
    split("total epoll_wait read write futex sleep", kinds, " ")
    for (i = 1; i <= 2; i++) {
        for (k = 1; k <= 4; k++) {
            if (med(rows[i], counter, peers[k], "total") < 0) {
                continue
            }
            line = "| " title[rows[i]] " | " name[peers[k]]
            for (j = 1; j <= 6; j++) {
                line = line sprintf(" | %.3f", med(rows[i], counter, peers[k], kinds[j]))
            }
            print line " | " (peers[k] == "weft" ? aim[rows[i]] : "") " |"
        }
    }
}

END {
    print "# Benchmarks\n\nWritten by `" commands "`; run it to measure your own machine. Each figure is a"
    print "median with, in brackets, the least and the greatest; every program checked its own result."
    print "Absolute figures move from machine to machine: the ratios to a peer in the same run are what"
    print "counts.\n"
    while ((getline line < machine) > 0) {
        print line
    }
    compute_table(); wake_table(); parked_table(); floor_table(); net_table(); syscall_table()
}
