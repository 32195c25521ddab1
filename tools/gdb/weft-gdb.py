# SPDX-License-Identifier: Apache-2.0
#
# weft-gdb.py - coroutines in gdb, in live processes and in core files:
#
#     info coroutines                    those that live: state, name, where each is
#     coroutine N                        select coroutine N: bt, up, frame, info locals are its own
#     coroutine N COMMAND                run a gdb command in it: coroutine 12 bt
#     coroutine apply all COMMAND        run it in all of them: coroutine apply all bt 5
#     coroutine apply N... COMMAND       run it in some
#     coroutine none                     back to the thread
#
# N is what weft_id tells.
#
# It only ever reads memory: no function of the process is called and no register is written, so
# that it does the same on a core file.  The frames of a coroutine that does not run are shown by an
# unwinder: it answers that they are the callers of the thread's innermost frame.  That frame, #0,
# is left out of backtraces, and so are weft's own frames below the public call in which the
# coroutine waits: `bt -no-filters` shows all.

import functools
import struct

import gdb
import gdb.unwinder

FREE, ALIVE, ABANDONED = range(3)  # enum wf_g_state
TOKEN_PARKED = 2  # enum wf_token_state
HIBERNATES = 2  # of enum wf_bound
SLAB_GS = 256  # of coroutine.c
CLOCK_S = 0.01  # WF_CLOCK_NS of sched.h

# What jump_fcontext of Boost 1.81 saves, from the third word on; above it lies the stack.
SAVED = ("r12", "r13", "r14", "r15", "rbx", "rbp", "rip")
SAVED_BYTES = 8 * (2 + len(SAVED))


# ---- The process ---------------------------------------------------------------------------


class Runtime:
    """Where the process keeps its coroutines, and how a wf_g is laid out."""

    def __init__(self):
        pools = [s for s in gdb.lookup_static_symbols("gpool")
                 if s.symtab.filename.endswith("runtime/coroutine.c")]
        sched = gdb.lookup_global_symbol("wf_the_sched")
        if not pools or not sched:
            raise gdb.GdbError("no weft here, or one without debug information: build it with -g, "
                               "and start the program first if it is linked with libweft.so")
        self.pool = pools[0].value()
        sources = pools[0].symtab.filename[:-len("runtime/coroutine.c")]
        self.own = (sources + "runtime/", sources + "net/")
        self.sched = sched.value()
        self.clock = int(self.sched["clock"]) & 0xffffffff
        texts = gdb.lookup_global_symbol("wf_wait_text").value()
        self.waits = [texts[i].string() for i in range(texts.type.range()[1] + 1)]
        self.objects = {}
        self.g = gdb.lookup_type("struct wf_g")
        self.fields = {name: self.field(self.g, name)
                       for name in ("id", "state", "fctx", "fresh", "token", "wait_for", "wait_on",
                                    "wait_began", "bound", "moved", "name", "fn", "group_fn",
                                    "started_at")}

    @staticmethod
    def field(type_, name):
        f = type_[name]
        return f.bitpos // 8, f.type.sizeof

    def text_object(self, address):
        if address not in self.objects:
            self.objects[address] = text_pointer(address)
        return self.objects[address]

    def coroutines(self):
        """Each that lives, read slab by slab."""
        made = int(self.pool["n_made"])
        memory = gdb.selected_inferior()
        for first in range(0, made + 1, SLAB_GS):
            slab = int(self.pool["slabs"][first // SLAB_GS])
            count = min(SLAB_GS, made + 1 - first)
            raw = memory.read_memory(slab, count * self.g.sizeof).tobytes()
            for i in range(count):
                g = Coroutine(self, slab + i * self.g.sizeof, raw, i * self.g.sizeof)
                if g.state != FREE and first + i > 0:
                    yield g

    def runners(self):
        """The thread that runs a coroutine, and how, by the address of its wf_g."""
        threads = threads_by_pointer()
        found = {}
        m = self.sched["all_m"]
        while int(m):
            thread = threads.get(int(m["thread"]))
            for member, how in (("prev", "leaving"), ("blocked", "blocking"), ("gp", "running")):
                if thread and int(m[member]):
                    found[int(m[member])] = (thread, how)  # the last one counts
            m = m["all"]
        return found


class Coroutine:
    """One wf_g, as it was when it was read."""

    def __init__(self, runtime, address, raw, at):
        self.runtime = runtime
        self.address = address
        for name, (offset, size) in runtime.fields.items():
            setattr(self, name, int.from_bytes(raw[at + offset:at + offset + size], "little"))

    def runs(self):
        return not self.fctx

    def text_name(self):
        chars = gdb.lookup_type("char").pointer()
        return gdb.Value(self.name).cast(chars).string() if self.name else ""

    def text_state(self, runners):
        if self.runs():
            thread, how = runners.get(self.address, (None, "running"))
            return f"{how} on thread {thread.num}" if thread else how
        if self.state == ABANDONED:
            return "abandoned"
        if self.fresh:
            return "new"
        if self.token & 3 != TOKEN_PARKED or not self.wait_for:
            return "runnable"
        return "waits " + self.runtime.waits[self.wait_for]

    def text_wait(self):
        """What it waits on, and for how long."""
        if self.runs() or self.fresh or not self.wait_for:
            return ""
        on = " " + self.runtime.text_object(self.wait_on) if self.wait_on else ""
        return f"{on}, for {max(0, self.runtime.clock - self.wait_began) * CLOCK_S:.2f} s"

    def function(self):
        """The user's function that it was started with."""
        return self.group_fn or self.fn

    def registers(self):
        """Those it goes on with."""
        if self.bound & HIBERNATES and self.moved:
            raise gdb.GdbError(f"coroutine {self.id} hibernates: its stack was moved to the heap; "
                               "weft_dump shows its frames")
        memory = gdb.selected_inferior()
        words = struct.unpack("<9Q", memory.read_memory(self.fctx, SAVED_BYTES).tobytes())
        saved = dict(zip(SAVED, words[2:]))
        if not saved["rip"]:
            raise gdb.GdbError(f"the stack of coroutine {self.id} is not in this core file: gcore "
                               "cannot read past guards, see weft's docs/debugging.md")
        saved["rsp"] = self.fctx + SAVED_BYTES
        return saved


def threads_by_pointer():
    """pthread_t is the thread's fs_base."""
    selected = gdb.selected_thread()
    found = {}
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        found[int(gdb.parse_and_eval("(unsigned long)$fs_base"))] = thread
    if selected:
        selected.switch()
    return found


def text_pointer(address):
    pointer = gdb.Value(address).cast(gdb.lookup_type("void").pointer())
    return pointer.format_string(symbols=True)


@functools.lru_cache(maxsize=None)  # forgotten with `internal`
def text_place(pc):
    """function () at file:line, as far as it is known."""
    sal = gdb.find_pc_line(pc)
    block = gdb.block_for_pc(pc)
    while block and not block.function:
        block = block.superblock
    name = block.function.name if block else None
    if not name:
        return text_pointer(pc)
    return f"{name} () at {sal.symtab.filename}:{sal.line}" if sal.symtab else f"{name} ()"


# ---- The frames of one ------------------------------------------------------------------------


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Unwinder(gdb.unwinder.Unwinder):
    """While a coroutine is selected, its frames are the callers of the thread's frame #0."""

    def __init__(self):
        super().__init__("weft")
        self.registers = None
        self.sp = None  # of the thread's frame #0, which tells it from all others

    def select(self, sp, registers):
        self.sp = sp
        self.registers = [(r, gdb.Value(v)) for r, v in registers.items()]
        self.id = FrameId(gdb.Value(registers["rsp"] - 8), gdb.Value(registers["rip"]))
        gdb.invalidate_cached_frames()

    def clear(self):
        if self.registers:
            self.registers = None
            gdb.invalidate_cached_frames()

    def hides(self, frame):
        return (self.registers is not None and frame.level() == 0
                and int(frame.read_register("rsp")) == self.sp)

    def __call__(self, pending):
        if not self.registers or int(pending.read_register("rsp")) != self.sp:
            return None
        frame = pending.create_unwind_info(self.id)
        for register, value in self.registers:
            frame.add_saved_register(register, value)
        return frame


class Filter:
    """Leaves frame #0 out of a coroutine's backtraces, and how weft made it wait."""

    name = "weft"
    enabled = True
    priority = 1000

    def filter(self, frames):
        inside = False
        for decorated in frames:
            frame = decorated.inferior_frame()
            hidden = unwinder.hides(frame)
            inside = hidden or inside and is_internal(frame)
            if not inside:
                yield decorated


internal = {}  # by function and pc: an inlined one shares its caller's


def is_internal(frame):
    """Is it weft's, and no public function?"""
    key = (frame.name(), frame.pc())
    if key not in internal:
        function = frame.function()
        internal[key] = (function is not None and not function.name.startswith("weft_")
                         and function.symtab.filename.startswith(Runtime().own))
    return internal[key]


def forget(event):
    internal.clear()
    text_place.cache_clear()


def users_frame(frame):
    """The innermost frame that is not weft's own."""
    first = frame
    while frame and (is_internal(frame) or (frame.name() or "").startswith("weft_")):
        frame = frame.older()
    return frame or first


unwinder = Unwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)
gdb.frame_filters[Filter.name] = Filter()
gdb.events.cont.connect(lambda event: unwinder.clear())
gdb.events.new_objfile.connect(forget)
gdb.events.clear_objfiles.connect(forget)


class Selection:
    """Runs what is called within it in one coroutine, and goes back to where gdb was."""

    def __init__(self, runners):
        unwinder.clear()
        self.thread = gdb.selected_thread()
        self.sp = int(gdb.newest_frame().read_register("rsp"))
        self.runners = runners

    def select(self, g):
        if g.runs():
            thread, how = self.runners.get(g.address, (None, None))
            if not thread:
                raise gdb.GdbError(f"coroutine {g.id} runs on a thread that gdb does not show")
            unwinder.clear()
            thread.switch()
            return
        if not self.thread.is_valid() or gdb.selected_thread() != self.thread:
            self.thread.switch()
        unwinder.select(self.sp, g.registers())
        users_frame(gdb.newest_frame().older()).select()

    def back(self):
        unwinder.clear()
        self.thread.switch()


# ---- The commands --------------------------------------------------------------------------------


def find(ids):
    """The coroutines of those numbers, in that order; ids None: all, by number."""
    alive = {g.id: g for g in Runtime().coroutines()}
    if ids is None:
        return [alive[i] for i in sorted(alive)]
    for i in ids:
        if i not in alive:
            raise gdb.GdbError(f"no coroutine {i} lives: see info coroutines")
    return [alive[i] for i in ids]


def need_process():
    if not gdb.selected_thread():
        raise gdb.GdbError("no process: run the program, attach to it, or open a core file")


def headline(g, runners):
    name = f" ({g.text_name()})" if g.name else ""
    return (f"Coroutine {g.id}{name} {g.text_state(runners)}{g.text_wait()}; "
            f"started at {text_place(g.started_at - 1)}")


def run_in(selection, g, command):
    if g.fresh and not g.runs():
        print(f"it has not run yet; it will call {text_place(g.function())}")
        return
    selection.select(g)
    gdb.execute(command)


def apply(ids, command):
    coroutines = find(ids)
    selection = Selection(Runtime().runners())
    try:
        for g in coroutines:
            print(f"\n{headline(g, selection.runners)}")
            try:
                run_in(selection, g, command)
            except (gdb.error, gdb.GdbError) as e:  # of the command: the others are shown all the same
                print(e)
    finally:
        selection.back()


class InfoCoroutines(gdb.Command):
    """Coroutines that live: number, state, name, and the innermost frame of the program's own."""

    def __init__(self):
        super().__init__("info coroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        need_process()
        runtime = Runtime()
        selection = Selection(runtime.runners())
        print(f"{'Id':>8}  {'State':<28}{'Name':<16}Where")
        try:
            for g in sorted(runtime.coroutines(), key=lambda g: g.id):
                print(f"{g.id:>8}  {g.text_state(selection.runners):<27} {g.text_name():<15} "
                      f"{self.where(selection, g)}")
        finally:
            selection.back()

    def where(self, selection, g):
        if g.fresh and not g.runs():
            return text_place(g.function())
        try:
            selection.select(g)
        except (gdb.error, gdb.GdbError) as e:
            return str(e)
        frame = users_frame(gdb.newest_frame()) if g.runs() else gdb.selected_frame()
        return text_place(frame.pc() - (frame.level() > 0))


class CoroutineCommand(gdb.Command):
    """Select a coroutine, or run a command in one, some or all.

    coroutine N                   select coroutine N; bt, up, info locals are then its own
    coroutine N COMMAND           run COMMAND in coroutine N
    coroutine apply all COMMAND   run COMMAND in each coroutine
    coroutine apply N... COMMAND  run COMMAND in those
    coroutine none                back to the thread

    N is a number that `info coroutines` shows.  Continuing the process selects no coroutine."""

    USAGE = "usage: coroutine N [COMMAND], coroutine apply all|N... COMMAND, or coroutine none"

    def __init__(self):
        super().__init__("coroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        word, _, rest = argument.strip().partition(" ")
        if word == "none":
            unwinder.clear()
            return
        need_process()
        if word == "apply":
            self.apply(rest.strip())
        elif not word.isdigit():
            raise gdb.GdbError(self.USAGE)
        elif rest.strip():
            apply([int(word)], rest.strip())
        else:
            self.select(int(word))

    def apply(self, argument):
        ids, command = [], argument
        word, _, rest = command.partition(" ")
        if word == "all":
            ids, command = None, rest.strip()
        while ids is not None and word.isdigit():
            ids, command = ids + [int(word)], rest.strip()
            word, _, rest = command.partition(" ")
        if ids == [] or not command:
            raise gdb.GdbError(self.USAGE)
        apply(ids, command)

    def select(self, number):
        g = find([number])[0]
        selection = Selection(Runtime().runners())
        print(headline(g, selection.runners))
        if g.fresh and not g.runs():
            raise gdb.GdbError(f"it has not run yet; it will call {text_place(g.function())}")
        selection.select(g)
        gdb.execute("frame")


InfoCoroutines()
CoroutineCommand()
