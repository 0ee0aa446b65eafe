;; The transform job in WebAssembly text: see README.md.
;;
;; It keeps a stack of open brackets below the text, one byte each, and checks that strings and brackets
;; are closed; it does not check the rest of the grammar.
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))

  (memory (export "memory") 2)
  ;; 0: a buffer's address and length; 8: how much of it was read or written; 32: digits of a number.
  (data (i32.const 64) "transform: ")
  (data (i32.const 80) " keys\0a")
  (data (i32.const 96) "transform: the input is not a JSON object\0a")
  (data (i32.const 144) "\"computed\":true,\"keys\":")
  (data (i32.const 168) ",\"depth\":")
  (data (i32.const 184) ",\"bytes\":")
  (data (i32.const 200) "}")
  (data (i32.const 201) ",")
  ;; 1024: the open brackets, at most 1000. 65536: the text.
  (global $text i32 (i32.const 65536))
  (global $end (mut i32) (i32.const 65536))
  (global $at (mut i32) (i32.const 65536))

  (func $write (param $fd i32) (param $from i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $from))
    (i32.store (i32.const 4) (local.get $length))
    (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))
      (then (call $proc_exit (i32.const 2)))))

  (func $fail
    (call $write (i32.const 2) (i32.const 96) (i32.const 42))
    (call $proc_exit (i32.const 1))
    unreachable)

  (func $write_number (param $fd i32) (param $number i32)
    (local $at i32)
    (local.set $at (i32.const 48))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
      (br_if $digit (local.tee $number (i32.div_u (local.get $number) (i32.const 10)))))
    (call $write (local.get $fd) (local.get $at) (i32.sub (i32.const 48) (local.get $at))))

  (func $read
    (local $room i32)
    (loop $more
      (local.set $room
        (i32.sub (i32.mul (memory.size) (i32.const 65536)) (global.get $end)))
      (if (i32.eqz (local.get $room))
        (then
          (if (i32.eq (memory.grow (memory.size)) (i32.const -1))
            (then (call $proc_exit (i32.const 2))))
          (br $more)))
      (i32.store (i32.const 0) (global.get $end))
      (i32.store (i32.const 4) (local.get $room))
      (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))
        (then (call $proc_exit (i32.const 2))))
      (global.set $end (i32.add (global.get $end) (i32.load (i32.const 8))))
      (br_if $more (i32.load (i32.const 8)))))

  (func $is_space (param $byte i32) (result i32)
    (i32.or
      (i32.or (i32.eq (local.get $byte) (i32.const 32)) (i32.eq (local.get $byte) (i32.const 9)))
      (i32.or (i32.eq (local.get $byte) (i32.const 13)) (i32.eq (local.get $byte) (i32.const 10)))))

  (func $space
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (global.get $at) (global.get $end)))
        (br_if $done (i32.eqz (call $is_space (i32.load8_u (global.get $at)))))
        (global.set $at (i32.add (global.get $at) (i32.const 1)))
        (br $next))))

  ;; The byte here, and one further.
  (func $take (result i32)
    (if (i32.ge_u (global.get $at) (global.get $end)) (then (call $fail)))
    (i32.load8_u (global.get $at))
    (global.set $at (i32.add (global.get $at) (i32.const 1))))

  (func $skip_string
    (local $byte i32)
    (loop $next
      (local.set $byte (call $take))
      (if (i32.eq (local.get $byte) (i32.const 34)) (then (return)))
      (if (i32.eq (local.get $byte) (i32.const 92)) (then (drop (call $take))))
      (br $next)))

  (func (export "_start")
    (local $start i32) (local $stop i32) (local $body i32)
    (local $byte i32) (local $depth i32) (local $deepest i32) (local $keys i32)
    (call $read)
    (call $space)
    (local.set $start (global.get $at))
    (if (i32.ne (call $take) (i32.const 123)) (then (call $fail)))
    (i32.store8 (i32.const 1024) (i32.const 125))
    (local.set $depth (i32.const 1))
    (local.set $deepest (i32.const 1))

    (loop $next
      (local.set $byte (call $take))
      (if (i32.eq (local.get $byte) (i32.const 34)) (then (call $skip_string)))
      (if (i32.and (i32.eq (local.get $byte) (i32.const 58)) (i32.eq (local.get $depth) (i32.const 1)))
        (then (local.set $keys (i32.add (local.get $keys) (i32.const 1)))))
      ;; { and [ are followed by their closing brackets, two further, in ASCII.
      (if (i32.eq (i32.and (local.get $byte) (i32.const 0xdf)) (i32.const 91))
        (then
          (if (i32.ge_u (local.get $depth) (i32.const 1000)) (then (call $fail)))
          (i32.store8 (i32.add (i32.const 1024) (local.get $depth))
            (i32.add (local.get $byte) (i32.const 2)))
          (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
          (if (i32.gt_u (local.get $depth) (local.get $deepest))
            (then (local.set $deepest (local.get $depth))))))
      (if (i32.eq (i32.and (local.get $byte) (i32.const 0xdf)) (i32.const 93))
        (then
          (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
          (if (i32.ne (local.get $byte) (i32.load8_u (i32.add (i32.const 1024) (local.get $depth))))
            (then (call $fail)))))
      (br_if $next (local.get $depth)))

    (local.set $stop (global.get $at))
    (call $space)
    (if (i32.ne (global.get $at) (global.get $end)) (then (call $fail)))

    (local.set $body (i32.sub (local.get $stop) (i32.const 1)))
    (block $done
      (loop $trim
        (br_if $done (i32.eqz (call $is_space
          (i32.load8_u (i32.sub (local.get $body) (i32.const 1))))))
        (local.set $body (i32.sub (local.get $body) (i32.const 1)))
        (br $trim)))
    (call $write (i32.const 1) (local.get $start) (i32.sub (local.get $body) (local.get $start)))
    (if (local.get $keys) (then (call $write (i32.const 1) (i32.const 201) (i32.const 1))))
    (call $write (i32.const 1) (i32.const 144) (i32.const 23))
    (call $write_number (i32.const 1) (local.get $keys))
    (call $write (i32.const 1) (i32.const 168) (i32.const 9))
    (call $write_number (i32.const 1) (local.get $deepest))
    (call $write (i32.const 1) (i32.const 184) (i32.const 9))
    (call $write_number (i32.const 1) (i32.sub (local.get $stop) (local.get $start)))
    (call $write (i32.const 1) (i32.const 200) (i32.const 1))

    (call $write (i32.const 2) (i32.const 64) (i32.const 11))
    (call $write_number (i32.const 2) (local.get $keys))
    (call $write (i32.const 2) (i32.const 80) (i32.const 6))))
