# SPDX-License-Identifier: Apache-2.0
#
# The page: a table for each section of rows.txt whose figures are there.  Runs after stats.awk.
#
# Variables: machine (a file with the page's head), plots (a file: section, path and caption of each
# plot, tab-separated).

# A share passes when it rounds to the goal, as both are printed.
function verdict(row, procs, w, g, has_ns, has_go, by_ns, by_go)
{
    has_ns = goal_of[row, procs] > 0; has_go = share_of[row, procs] > 0 && g > 0
    if (w < 0 || !has_ns && !has_go) {
        return dash
    }
    by_ns = has_ns && w <= goal_of[row, procs]
    by_go = has_go && ratio(w, g) + 0 <= share_of[row, procs]
    if (!has_ns || !has_go) {
        return by_ns || by_go ? "yes" : "no"
    }
    return by_ns && by_go ? "both" : by_ns ? "the figure" : by_go ? "the share" : "no"
}

function goal_text(row, procs, a, s)
{
    a = goal_of[row, procs]; s = share_of[row, procs]
    return (a > 0 ? a : "") (a > 0 && s > 0 ? ", " : "") (s > 0 ? s " of Go" : "")
}

# A table's head: the columns' names, separated as they are in a row.
function head(names, columns, n, line)
{
    for (n = split(names, columns, " [|] "); n > 0; n--) {
        line = line "|---"
    }
    print "| " names " |\n" line "|"
}

# A heading, and a paragraph below it.
function section_head(heading, words)
{
    printf "\n## %s\n\n", heading
    if (words != "") {
        print words "\n"
    }
}

# The least of the peers' medians, of those with stacks or of all; sets best_peer.
function best_of(row, setting, stacks_only, i, m, best)
{
    best = -1
    best_peer = ""
    for (i = 1; i <= npeers; i++) {
        m = med(row, setting, peers[i], "value")
        if (peers[i] != "weft" && m > 0 && (has_stacks[peers[i]] || !stacks_only) && \
            (best < 0 || m < best)) {
            best = m
            best_peer = peers[i]
        }
    }
    return best
}

function leader(row, setting, w, best)
{
    best = best_of(row, setting, 0)
    return best < 0 || w >= 0 && w <= best ? "weft" : name[best_peer]
}

# The peers' columns of a compute table.
function peer_cells(row, setting, columns, line, i)
{
    split("weft go fiber tokio", columns, " ")
    for (i = 1; i <= 4; i++) {
        line = line " | " cell(row, setting, columns[i], "value")
    }
    return line
}

function compute_row(row, procs, w)
{
    w = med(row, procs, "weft", "value")
    if (w < 0 && best_of(row, procs, 0) < 0) {
        return
    }
    printf "| %s | %d%s | %s | %s | %s | %s |\n", title[row], procs, peer_cells(row, procs),
        ratio(w, best_of(row, procs, 1)), leader(row, procs, w), goal_text(row, procs),
        verdict(row, procs, w, med(row, procs, "go", "value"))
}

function show_plots(section, line, part, begun)
{
    while ((getline line < plots) > 0) {
        split(line, part, "\t")
        if (part[1] == section) {
            printf "\n![%s](%s)\n", part[3], part[2]
        }
    }
    close(plots)
}

function two_settings(row)
{
    compute_row(row, 1)
    compute_row(row, 2)
}

function compute_head()
{
    head("what | Ps | weft | Go | Boost.Fiber | tokio | weft / best with stacks | ahead | " \
        "goal | reached")
}

function compute_table(list, n, i)
{
    n = split_measured(figures_of["compute"], list)
    if (n == 0) {
        return
    }
    section_head("Compute", "Wall time per operation; less is better. P: a processor of the " \
        "scheduler. tokio's tasks\nhave no stacks: it is shown, but the ratio is to the best with.")
    compute_head()
    for (i = 1; i <= n; i++) {
        two_settings(list[i])
    }
    if ("sleeps_ideal" in have) {
        printf "\nThe unluckiest of the 100,000 has %s ms to sleep.\n",
            plain("sleeps_ideal", 1, "weft", "value")
    }
    speedup("fib27"); speedup("fib38"); speedup("skynet")
    show_plots("compute")
}

function speedup(row, w1, w2)
{
    w1 = med(row, 1, "weft", "value"); w2 = med(row, 2, "weft", "value")
    if (w1 > 0 && w2 > 0) {
        printf "\nweft's %s on 2 Ps is %.2f times as fast as on 1.\n", row, w1 / w2
    }
}

function wake_row(row, floor, w, f)
{
    w = med(row, 2, "weft", "value"); f = med(floor, "-", "floor", "value")
    printf "| %s | %s | %s | %s | %s | ", title[row], cell(row, 2, "weft", "value"),
        cell(row, 2, "go", "value"), cell(floor, "-", "floor", "value"), ratio(w, f)
    if (row != "wake_1ms") {
        print goal_text(row, 2) " | " verdict(row, 2, w, -1) " |"
    } else if (w < 0 || f <= 0) {
        print "1.2 of the futex | " dash " |"
    } else {
        print "1.2 of the futex | " (ratio(w, f) + 0 <= 1.2 ? "yes" : "no") " |"
    }
}

function wake_table()
{
    if (!("wake_3us" in have)) {
        return
    }
    section_head("Waking a parked coroutine", "By one that stays busy, on 2 Ps, the other one " \
        "idle: from the call to the woken one's first line, p50, us.")
    head("what | weft | Go | bare futex | weft / futex | goal | reached")
    wake_row("wake_3us", "futex_busy_3us")
    wake_row("wake_100us", "futex_busy_100us")
    wake_row("wake_1ms", "futex_busy_1ms")
    printf "\nWhile one is busy and the other asleep, all other threads use %s us of CPU per ms " \
        "(Go: %s).\n", plain("wake_1ms_burn", 2, "weft", "value"),
        plain("wake_1ms_burn", 2, "go", "value")
}

function parked_table(list, n, i)
{
    if (!("parked_rss" in have)) {
        return
    }
    section_head("A million coroutines parked", "Or as many as this machine's memory holds. Before each run as much " \
        "memory is\ntouched and given back, so that none pays for the host's paging.")
    compute_head()
    n = split(figures_of["parked"], list, " ")
    for (i = 1; i <= n; i++) {
        two_settings(list[i])
    }
    print "\nStart and park is to stay within 700 ns of a bare stack's guard and first touch,"
    printf "measured in turn with it: %s ns here.\n", plain("guard_touch", "-", "floor", "value")
}

function readers_table(list, n, i)
{
    if (!("reader_rss" in have)) {
        return
    }
    section_head("Readers that hibernate", "As many idle connections as a process may have " \
        "descriptors; weft alone: no peer gives a stack\nback while its coroutine waits.")
    head("what | Ps | weft | goal | reached")
    n = split(figures_of["readers"], list, " ")
    for (i = 1; i <= n; i++) {
        readers_row(list[i], 1)
        readers_row(list[i], 2)
    }
}

function readers_row(row, procs)
{
    printf "| %s | %s | %s | %s | %s |\n", title[row], procs, cell(row, procs, "weft", "value"),
        goal_text(row, procs), verdict(row, procs, med(row, procs, "weft", "value"), -1)
}

function floor_table(list, n, i)
{
    n = split_measured(figures_of["floor"], list)
    if (n == 0) {
        return
    }
    section_head("What the machine itself charges")
    head("what | median (least to greatest)")
    for (i = 1; i <= n; i++) {
        printf "| %s | %s |\n", title[list[i]], cell(list[i], "-", "floor", "value")
    }
}

# ---- servers

function net_line(row, setting, peer, base)
{
    if (med(row, setting, peer, "rps") < 0) {
        return
    }
    printf "| %s | %s | %s | %s | %s | %s | %s |\n", name[peer],
        cell(row, setting, peer, "server_cpu_us"),
        ratio(med(row, setting, peer, "server_cpu_us"), base), plain(row, setting, peer, "rps"),
        cell(row, setting, peer, "p50_us"), plain(row, setting, peer, "p99_us"),
        plain(row, setting, peer, "p999_us")
}

function net_row(row, list, n, k, setting)
{
    printf "\n### %s\n\nGoal: %s.\n\n", title[row], aim[row]
    head("server | its CPU, us per request | to hand-written | requests/s | p50, us | p99, us | " \
        "p99.9, us")
    n = split(peers_of[row], list, " ")
    for (k = 1; k <= n; k++) {
        setting = size_of[row]
        net_line(row, setting, list[k], med(row, setting, "epoll", "server_cpu_us"))
    }
}

function net_section(section, heading, words, list, n, i)
{
    n = split_measured(rows_of[section], list)
    if (n == 0) {
        return
    }
    section_head(heading, words)
    for (i = 1; i <= n; i++) {
        net_row(list[i])
    }
    show_plots(section)
}

function idle_table(list, n, k, size)
{
    if (!("idle" in have)) {
        return
    }
    section_head("Idle connections", title["idle"] ". Resident memory is counted from before the " \
        "first of them came. Goal: " aim["idle"] ".")
    head("server | resident bytes per connection | CPU, us per second")
    size = size_of["idle"]
    n = split(peers_of["idle"], list, " ")
    for (k = 1; k <= n; k++) {
        if (med("idle", size, list[k], "rss_bytes") >= 0) {
            printf "| %s | %s | %s |\n", name[list[k]], cell("idle", size, list[k], "rss_bytes"),
                cell("idle", size, list[k], "idle_cpu_us")
        }
    }
}

# ---- what a request costs besides time

function syscall_line(row, peer, counter, kinds, j, n, line)
{
    if (med(row, counter, peer, "total") < 0) {
        return
    }
    line = "| " title[row] " | " name[peer]
    n = split("total epoll_wait read write futex sleep", kinds, " ")
    for (j = 1; j <= n; j++) {
        line = line sprintf(" | %.3f", med(row, counter, peer, kinds[j]))
    }
    print line " | " (peer == "weft" ? aim[row] : "") " |"
}

function syscall_table(list, all, n, m, i, k)
{
    n = split_measured("syscalls_1w syscalls_2w", list)
    if (n == 0) {
        return
    }
    section_head("System calls per request, 64 connections")
    head("workers | server | all | epoll_wait | read | write | futex | sleep | goal")
    for (i = 1; i <= n; i++) {
        m = split(peers_of[list[i]], all, " ")
        for (k = 1; k <= m; k++) {
            syscall_line(list[i], all[k], "perf")
            syscall_line(list[i], all[k], "strace")
        }
    }
}

function counter_table(list, kinds, n, m, i, j, line)
{
    n = split_measured("counters_1w counters_2w", list)
    if (n == 0) {
        return
    }
    section_head("Inside weft, per request, 64 connections", "Counted by weft itself over a " \
        "second load, the first being warm-up; connections included.")
    head("workers | coroutine switches | epoll_wait | threads woken | threads parked | steals | " \
        "allocations | goal")
    for (i = 1; i <= n; i++) {
        line = "| " title[list[i]]
        m = split("switches polls wakes parks steals allocs", kinds, " ")
        for (j = 1; j <= m; j++) {
            line = line sprintf(" | %.5f", med(list[i], "-", "counted", kinds[j]))
        }
        print line " | " aim[list[i]] " |"
    }
    print "\nInstructions per operation do not shake and are held by a test: `tests/counters`."
}

# ---- start-up, growth

function start_table(list, n, k)
{
    if (!("start" in have)) {
        return
    }
    section_head("Start-up and size", "From exec to the first line of the first coroutine, and " \
        "to listening; the program without symbols.")
    head("what | first coroutine, us | its program, bytes | listening, us | its program, bytes")
    n = split("floor " peers_of["start"], list, " ")
    name["floor"] = "C, main alone"
    for (k = 1; k <= n; k++) {
        start_line(list[k])
    }
}

function start_line(peer)
{
    if (med("start", "-", peer, "coroutine") >= 0 || med("start", "-", peer, "listening") >= 0) {
        printf "| %s | %s | %s | %s | %s |\n", name[peer], cell("start", "-", peer, "coroutine"),
            plain("start", "-", peer, "coroutine_bytes"), cell("start", "-", peer, "listening"),
            plain("start", "-", peer, "listening_bytes")
    }
}

# A line for each size of the row `grow`: the figure in `row` and `metric`, by its peers.
function growth_lines(what, grow, row, prefix, metric, sizes, list, n, m, i, k, line)
{
    n = split(size_of[grow], sizes, " ")
    m = split(peers_of[grow], list, " ")
    for (i = 1; i <= n; i++) {
        line = "| " what " | " sizes[i]
        for (k = 1; k <= m; k++) {
            line = line " | " cell(row, prefix sizes[i], list[k], metric)
        }
        print line " |"
    }
}

function growth_head(heading, words, grow, list, n, k, names)
{
    section_head(heading, words)
    n = split(peers_of[grow], list, " ")
    for (k = 1; k <= n; k++) {
        names = names " | " name[list[k]]
    }
    head("what | how many" names)
}

function growth_tables()
{
    if ("grow_coroutines" in have) {
        growth_head("As coroutines grow in number", "On 1 P.", "grow_coroutines")
        growth_lines("start and park, ns", "grow_coroutines", "start_park", "n", "value")
        growth_lines("wake and end, ns", "grow_coroutines", "wake_end", "n", "value")
        growth_lines("resident bytes", "grow_coroutines", "parked_rss", "n", "value")
        show_plots("grow_coroutines")
    }
    if ("grow_connections" in have) {
        growth_head("As connections grow in number", "1 worker, client on the same core.",
            "grow_connections")
        growth_lines("server CPU per request, us", "grow_connections", "grow_connections", "",
            "server_cpu_us")
        growth_lines("p99, us", "grow_connections", "grow_connections", "", "p99_us")
        show_plots("grow_connections")
    }
}

# ---- the whole

function runs_table(i, part, told)
{
    section_head("When each row was measured")
    for (i = 1; i <= nmeasured; i++) {
        split(measured[i], part, "\t")
        if (part[7] != "" && !told[part[7]]++) {
            print "    " part[7]
        }
    }
    print ""
    head("row | begun | revision | runs | load average before")
    for (i = 1; i <= nmeasured; i++) {
        split(measured[i], part, "\t")
        printf "| %s | %s | %s | %s | %s |\n", part[2], part[3], part[4], part[5], part[6]
    }
}

END {
    print "# Benchmarks\n\nWritten by `tools/bench/run`; run it to measure your own machine. Each"
    print "figure is a median with, in brackets, the least and the greatest; peers run in turn, and"
    print "every program checked its own result. Absolute figures move from machine to machine: the"
    print "ratios to a peer in the same run are what counts. A dash: the peer has no such thing, is"
    print "not installed, or takes half a minute (skynet on Boost.Fiber).\n"
    while ((getline line < machine) > 0) {
        print line
    }
    compute_table(); wake_table(); parked_table(); readers_table(); floor_table()
    net_section("net", "Network: 64-byte echo over loopback", "One client for all, hand-written, " \
        "one request in flight on each connection, every byte checked.")
    net_section("http", "HTTP: hello over loopback", "weft and the hand-written server parse " \
        "with http_parser; every byte of every answer is checked.")
    idle_table(); syscall_table(); counter_table(); start_table(); growth_tables(); runs_table()
}
