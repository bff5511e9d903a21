# SPDX-License-Identifier: MIT
# For gdb: what goroutines do, in a live process or a core. `source mk/vai-gdb.py`, then `goroutines`, or
# `goroutine 7`, or `goroutine all`. See doc/DEBUGGING.md.
#
# A goroutine that waits has its registers on its own stack (mach/ctx_amd64.h, ctx_arm64.S). No register of the
# process is changed to show its frames, for a core has none that could be: an unwinder tells gdb that whoever
# called the innermost frame of the selected thread is the place where the goroutine stopped.
#
# Lua's part of a traceback is read from the memory of Lua 5.4, whose layout below is that of 5.4.0 to 5.4.8 on 64-bit
# processors; liblua need not have debug information. vai.so must. Where a goroutine is in a coroutine, what is shown
# is the coroutine.
import gdb
import gdb.unwinder

MAIN_ID = 1
REASONS = "'src/sched/park.c'::reason_names"
SLAB = 64
NEW, RUNNABLE, RUNNING, WAITING, DEAD = range(5)
STATES = ["new", "runnable", "running", "waiting", "dead"]


def number(text):
    return int(gdb.parse_and_eval(text))


def memory(address, size):
    return gdb.selected_inferior().read_memory(address, size).tobytes()


def word(address, size=8, signed=False):
    return int.from_bytes(memory(address, size), "little", signed=signed)


def text_at(address, limit=256):
    text = b""
    while len(text) < limit:
        byte = memory(address + len(text), 1)
        if byte == b"\0":
            break
        text += byte
    return text.decode("utf-8", "replace")


# ---- Lua ----

LUA_C = 2  # in CallInfo.callstatus
LUA_CLOSURE, LIGHT_C, C_CLOSURE = 0x46, 0x16, 0x66


def line_of(proto, pc):
    """luaG_getfuncline, from the first instruction on: how far apart absolute lines are differs by release. Of a function
    that has not been interrupted yet Lua has noted no instruction: pc is -1, and the line that of its beginning."""
    info, absolute = word(proto + 88), word(proto + 96)
    if info == 0:
        return -1
    marks = {}
    for i in range(word(proto + 40, 4)):
        marks[word(absolute + 8 * i, 4)] = word(absolute + 8 * i + 4, 4)
    line = word(proto + 44, 4)
    for i, step in enumerate(memory(info, pc + 1)):
        step = step - 256 if step > 127 else step
        line = marks.get(i, line) if step == -128 else line + step
    return line


def lua_frame(ci):
    function = word(ci)
    value, tag = word(function), word(function + 8, 1)
    if tag == LUA_CLOSURE and not word(ci + 62, 2) & LUA_C:
        proto = word(value + 24)
        source = word(proto + 112)
        name = (text_at(source + 24) if source else "") or "=?"
        pc = (word(ci + 32) - word(proto + 64)) // 4 - 1
        what = "main chunk" if word(proto + 44, 4) == 0 else "function <%s:%d>" % (name[1:], word(proto + 44, 4))
        return "%s:%d: in %s" % (name[1:] if name[0] in "@=" else '[string "%s"]' % name, line_of(proto, pc), what)
    if tag in (LIGHT_C, C_CLOSURE):
        code = value if tag == LIGHT_C else word(value + 24)
        symbol = gdb.execute("info symbol %d" % code, to_string=True).split(" ")[0]
        return "[C]: in %s" % (symbol if symbol != "No" else hex(code))
    return None


def lua_frames(L):
    try:
        ci = word(L + 32)
        while ci:
            previous = word(ci + 16)
            frame = lua_frame(ci) if previous else None  # the last is the state's own
            if frame:
                yield frame
            ci = previous
    except gdb.MemoryError as error:
        yield "(%s: the core does not hold it)" % error


# ---- goroutines ----


class Goroutine:
    def __init__(self, record):
        self.g = record
        self.id = int(record["pub"]["id"])
        self.state = int(record["state"])
        self.blocks = bool(int(record["blocks"]))
        self.m = int(record["m"])

    def site(self):
        site = self.g["pub"]["site"]
        return site.string("utf-8", "replace") if int(site) else ""

    def reason(self):
        if self.state != WAITING:
            return STATES[self.state] + (", in a C call" if self.blocks else "")
        return gdb.parse_and_eval("%s[%d]" % (REASONS, int(self.g["reason"]))).string()

    def lua_state(self):
        running = int(self.g["pub"]["running"])
        if running:
            return running
        vm = int(self.g["pub"]["vm"])
        return int(gdb.parse_and_eval("((struct vai_vm *)%d)->L" % vm)) if vm else 0

    def thread(self):
        """The gdb thread on which it runs, or None."""
        if self.state != RUNNING or not self.m:
            return None
        tid = number("((struct m *)%d)->tid" % self.m)
        for thread in gdb.selected_inferior().threads():
            if thread.ptid[1] == tid:
                return thread
        return None

    def title(self):
        made = self.site()
        thread = self.thread()
        return "goroutine %d [%s]%s%s" % (
            self.id,
            self.reason(),
            ", thread %d" % thread.num if thread else "",
            ", created at " + made if made else "",
        )


def all_goroutines():
    main = gdb.parse_and_eval("vai__sched.main")
    if int(main) != 0:
        yield Goroutine(main.dereference())
    slabs = gdb.parse_and_eval("'src/sched/g.c'::all")
    for i in range(int(slabs["n"])):
        records = slabs["slabs"][i].dereference()["gs"]
        for k in range(SLAB):
            if int(records[k]["state"]) != DEAD:
                yield Goroutine(records[k])


# ---- frames of those that wait ----

AMD64 = [("rip", 8), ("rbp", 16), ("rbx", 24), ("r12", 32), ("r13", 40), ("r14", 48), ("r15", 56)]
ARM64 = [("x%d" % (19 + i), 8 * i) for i in range(12)]


def saved_registers(sp, architecture):
    """Name and value, the stack pointer and the program counter among them."""
    if architecture == "i386:x86-64":
        return [("rsp", word(sp))] + [(name, word(sp + at)) for name, at in AMD64]
    registers = [(name, word(sp + at)) for name, at in ARM64]
    return registers + [("sp", sp + 176), ("pc", word(sp + 88))]


def stack_pointer(frame):
    return "rsp" if frame.architecture().name() == "i386:x86-64" else "sp"


def physical_frame():
    """The selected thread's innermost that is no inlined function."""
    frame = gdb.newest_frame()
    while frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    return frame


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Unwinder(gdb.unwinder.Unwinder):
    """While `waiting` is the stack pointer of a goroutine, it seems to have called the frame at `innermost`."""

    def __init__(self):
        super().__init__("vai")
        self.waiting = self.innermost = None

    def __call__(self, frame):
        if self.waiting is None or int(frame.read_register(stack_pointer(frame))) != self.innermost:
            return None
        architecture = frame.architecture()
        registers = saved_registers(self.waiting, architecture.name())
        pointer = gdb.lookup_type("unsigned long")
        here = gdb.Value(self.waiting).cast(pointer)
        info = frame.create_unwind_info(FrameId(here, here))
        for name, value in registers:
            kind = frame.read_register(name).type
            info.add_saved_register(name, gdb.Value(value).cast(pointer).cast(kind))
        return info


unwinder = Unwinder()
gdb.unwinder.register_unwinder(None, unwinder, True)


def c_frames(frame):
    level = 0
    while frame is not None and frame.is_valid() and level < 100:
        place = frame.find_sal()
        file = " at %s:%d" % (place.symtab.filename, place.line) if place.symtab else ""
        yield "%s%s" % (frame.name() or hex(frame.pc()), file)
        level += 1
        frame = frame.older()


def frames_of(goroutine):
    thread = goroutine.thread()
    if thread:
        before = gdb.selected_thread()
        thread.switch()
        try:
            yield from c_frames(gdb.newest_frame())
        finally:
            before.switch()
    elif goroutine.state in (RUNNABLE, WAITING) and int(goroutine.g["stack"]) != 0 or goroutine.id == MAIN_ID:
        frame = physical_frame()
        unwinder.innermost = int(frame.read_register(stack_pointer(frame)))
        unwinder.waiting = int(goroutine.g["ctx"]["sp"])
        gdb.invalidate_cached_frames()
        try:
            yield from c_frames(physical_frame().older())
        finally:
            unwinder.waiting = None
            gdb.invalidate_cached_frames()


def show(goroutine):
    print(goroutine.title())
    L = goroutine.lua_state()
    for frame in lua_frames(L) if L else []:
        print("    " + frame)
    print("  C:")
    for frame in frames_of(goroutine):
        print("    " + frame)


def ready():
    try:
        gdb.parse_and_eval("vai__sched.main")
        gdb.parse_and_eval("'src/sched/g.c'::all")
        return True
    except gdb.error as error:
        print("vai: no debug information of vai.so here (%s)" % error)
        return False


class Goroutines(gdb.Command):
    """goroutines: one line for each goroutine that has not ended."""

    def __init__(self):
        super().__init__("goroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for goroutine in all_goroutines() if ready() else []:
            print(goroutine.title())


class GoroutineFrames(gdb.Command):
    """goroutine N, goroutine all: its Lua traceback and its C frames."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        wanted = argument.strip()
        if wanted != "all" and not wanted.isdigit():
            print("goroutine: its number, as `goroutines` lists it, or all")
            return
        found = False
        for goroutine in all_goroutines() if ready() else []:
            if wanted == "all" or goroutine.id == int(wanted):
                found = True
                show(goroutine)
        if not found and wanted != "all":
            print("goroutine: there is none with the number %s" % wanted)


Goroutines()
GoroutineFrames()
