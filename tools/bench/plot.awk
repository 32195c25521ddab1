# SPDX-License-Identifier: Apache-2.0
#
# The plots: SVG, drawn from the medians, each with its numbers as tool tips.  Runs after stats.awk;
# writes files into `folder` and prints a line for each: section, path, caption, tab-separated.

BEGIN {
    width = 880
    left = 70; right = 225; top = 44; bottom = 62
    split("weft go fiber tokio epoll epoll-2 uring uv thread nginx", order, " ")
    split("#c0392b #2980b9 #8e44ad #d68910 #566573 #a6acaf #16a085 #7d6608 #af7ac5 #1e8449", \
        shade, " ")
    for (i = 1; i in order; i++) {
        colour[order[i]] = shade[i]
    }
}

function log10(v)
{
    return log(v) / log(10)
}

function begin(file, caption, section)
{
    out = folder "/" file
    printf "%s\tplots/%s\t%s\n", section, file, caption
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" " \
        "font-family=\"sans-serif\" font-size=\"12\">\n" \
        "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", width, height >out
    label(left, 22, caption, "start", 15)
}

function finish()
{
    print "</svg>" >out
    close(out)
}

function label(x, y, text, anchor, size)
{
    gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text)
    printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\">%s</text>\n",
        x, y, anchor, size, text >out
}

function rule(x1, y1, x2, y2, stroke)
{
    printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n",
        x1, y1, x2, y2, stroke >out
}

function legend(peer, i)
{
    printf "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/>\n", width - right + 16,
        top + 20 * i - 10, colour[peer] >out
    label(width - right + 34, top + 20 * i, name[peer], "start", 12)
}

# The next step of 1, 2, 5, 10, 20 ... above v.
function step_above(v, e, m)
{
    e = exp(log(10) * (int(log10(v) + 100) - 100))
    for (m = 1; m < 10; m = m == 2 ? 5 : m * 2) {
        if (e * m > v * 1.0001) {
            return e * m
        }
    }
    return e * 10
}

# A vertical scale that holds low to high, logarithmic: a line at each step.
function scale_log(low, high, v)
{
    log_low = log10(low * 0.7)
    log_high = log10(step_above(high))
    for (v = step_above(low * 0.7); log10(v) <= log_high + 0.001; v = step_above(v)) {
        rule(left, height_of(v), width - right, height_of(v), "#ddd")
        label(left - 6, height_of(v) + 4, v >= 10 ? sprintf("%d", v) : sprintf("%g", v), "end", 11)
    }
}

function height_of(v)
{
    return height - bottom - (height - top - bottom) * (log10(v) - log_low) / (log_high - log_low)
}

function tip(x, y, w, h, fill, text)
{
    printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\">" \
        "<title>%s</title></rect>\n", x, y, w, h, fill, text >out
}

# ---- bars: groups of peers

# The span of bar[g, peer] for groups 1 .. ng: low_bar and high_bar; 0 if there is none.
function span(ng, list, np, g, p)
{
    np = split(list, shown, " ")
    low_bar = 1e30; high_bar = 0
    split("", used)
    for (g = 1; g <= ng; g++) {
        for (p = 1; p <= np; p++) {
            if ((g, shown[p]) in bar) {
                used[p] = 1
                low_bar = bar[g, shown[p]] < low_bar ? bar[g, shown[p]] : low_bar
                high_bar = bar[g, shown[p]] > high_bar ? bar[g, shown[p]] : high_bar
            }
        }
    }
    return high_bar > 0 ? np : 0
}

function one_group(g, np, unit, room, x, y, p)
{
    for (p = 1; p <= np; p++) {
        if ((g, shown[p]) in bar) {
            x = left + room * (g - 1) + room * 0.1 + room * 0.8 * (p - 1) / np
            y = height_of(bar[g, shown[p]])
            tip(x, y, room * 0.8 / np, height - bottom - y, colour[shown[p]],
                name[shown[p]] ", " group[g] ": " number(bar[g, shown[p]]) " " unit)
        }
    }
    y = height - bottom + 16 + 14 * ((g + 1) % 2) # every other name lower: they are wide
    label(left + room * (g - 0.5), y, group[g], "middle", 11)
}

# bar[g, peer] for groups 1 .. ng with the names group[g]; absent: not measured.  Takes them all.
function bars(file, caption, section, ng, list, unit, np, g, p, k)
{
    np = span(ng, list)
    if (np > 0) {
        height = 420
        begin(file, caption, section)
        scale_log(low_bar, high_bar)
        for (g = 1; g <= ng; g++) {
            one_group(g, np, unit, (width - left - right) / ng)
        }
        for (p = 1; p <= np; p++) {
            if (p in used) {
                legend(shown[p], ++k)
            }
        }
        finish()
    }
    split("", bar)
}

function plot_compute(procs, list, n, i, p, g, base, m)
{
    n = split_measured("yield start_join start_1000 fib27 fib38 pingpong chan128 select4 " \
        "mutex mutex100 skynet sleeps timer", list)
    split("weft fiber tokio", shown, " ")
    for (i = 1; i <= n; i++) {
        base = med(list[i], procs, "go", "value")
        if (base <= 0) {
            continue
        }
        group[++g] = list[i]
        for (p = 1; p <= 3; p++) {
            m = med(list[i], procs, shown[p], "value")
            if (m > 0) {
                bar[g, shown[p]] = m / base
            }
        }
    }
    if (g > 0) {
        bars("compute-" procs ".svg", "Time per operation on " procs (procs > 1 ? " Ps" : " P") \
            ", Go = 1 (logarithmic; less is better)", "compute", g, "weft fiber tokio", "of Go")
    }
}

function plot_servers(section, file, metric, what, list, all, n, i, k, m, v)
{
    n = split_measured(rows_of[section], list)
    for (i = 1; i <= n; i++) {
        group[i] = substr(list[i], index(list[i], "_") + 1)
        m = split(peers_of[list[i]], all, " ")
        for (k = 1; k <= m; k++) {
            v = med(list[i], size_of[list[i]], all[k], metric)
            if (v > 0) {
                bar[i, all[k]] = v
            }
        }
    }
    if (n > 0) {
        bars(file, what " (logarithmic)", section, n,
            "weft go epoll epoll-2 uring uv tokio thread nginx", "us")
    }
}

# ---- lines: a figure as a number grows

function curve(row, prefix, peer, metric, sizes, n, i, v, points)
{
    for (i = 1; i <= n; i++) {
        v = med(row, prefix sizes[i], peer, metric)
        if (v > 0) {
            points = points sprintf(" %.1f,%.1f", along(sizes[i]), height_of(v))
            tip(along(sizes[i]) - 3, height_of(v) - 3, 6, 6, colour[peer],
                name[peer] ", " sizes[i] ": " number(v))
        }
    }
    printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", points,
        colour[peer] >out
}

function along(size)
{
    return left + 10 + (width - left - right - 20) * (log(size) - first_size) / \
        (last_size - first_size)
}

# The curves of the row `grow`, of the figure in `row` and `metric`.
function lines(file, caption, grow, row, prefix, metric, list, sizes, np, n, i, p, v, low, high)
{
    np = split(peers_of[grow], list, " ")
    n = split(size_of[grow], sizes, " ")
    first_size = log(sizes[1]); last_size = log(sizes[n])
    low = 1e30; high = 0
    for (i = 1; i <= n; i++) {
        for (p = 1; p <= np; p++) {
            v = med(row, prefix sizes[i], list[p], metric)
            low = v > 0 && v < low ? v : low
            high = v > high ? v : high
        }
    }
    if (high <= 0) {
        return
    }
    height = 360
    begin(file, caption, grow)
    scale_log(low, high)
    for (i = 1; i <= n; i++) {
        label(along(sizes[i]), height - bottom + 18, sizes[i], "middle", 11)
    }
    for (p = 1; p <= np; p++) {
        curve(row, prefix, list[p], metric, sizes, n)
        legend(list[p], p)
    }
    finish()
}

function coroutines(file, caption, figure)
{
    lines(file, caption ", by the number of coroutines (logarithmic)", "grow_coroutines", figure,
        "n", "value")
}

function connections(file, caption, metric)
{
    lines(file, caption ", by the number of connections (logarithmic)", "grow_connections",
        "grow_connections", "", metric)
}

END {
    plot_compute(1)
    plot_compute(2)
    plot_servers("net", "network-cpu.svg", "server_cpu_us", "Echo: server CPU per request, us")
    plot_servers("net", "network-p99.svg", "p99_us", "Echo: p99, us")
    plot_servers("http", "http-cpu.svg", "server_cpu_us", "HTTP: server CPU per request, us")
    coroutines("coroutines-start.svg", "Start and park, ns each", "start_park")
    coroutines("coroutines-memory.svg", "Resident bytes each", "parked_rss")
    connections("connections-cpu.svg", "Server CPU per request, us", "server_cpu_us")
    connections("connections-p99.svg", "p99, us", "p99_us")
}
