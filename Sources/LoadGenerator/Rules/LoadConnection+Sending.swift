import Framing

extension LoadConnection {
    /// A request has become due.
    mutating func requestBecameDue() { waiting += 1 }

    /// Notes that the kernel accepted `count` bytes, and whether more wait.
    mutating func sent(_ count: Int, waits: Bool, at now: Nanoseconds) {
        if count > 0 {
            isSent = true
            if phase == .connecting { phase = .greeting }
            spokeAt = now
        }
        if !waits {
            stuckSince = .never
        } else if count > 0 || stuckSince == .never {
            stuckSince = now
        }
    }

    /// Appends to `buffer` what is to be sent now.
    mutating func fill(
        _ buffer: inout SendBuffer, _ load: inout Load, _ profile: borrowing LoadProfile,
        _ counters: inout LoadCounters,
        at now: Nanoseconds
    ) {
        switch phase {
        case .open: break
        case .connecting, .greeting:
            // On loopback the connection may exist already; then the first write succeeds.
            if !isGreeted {
                buffer.add(profile.greeting)
                isGreeted = true
                if profile.options.isShort { begin(&buffer, profile, due: due, at: now) }
            }
            while offset > 0, offset < 16384, !buffer.isFull { addChunk(&buffer, profile) }
            return
        case .closing:
            guard let code = owesClose else { return }
            owesClose = nil
            buffer.add(Close(code).frame)
            return
        case .away, .over: return
        }
        if load.isSilenced, !isSilent {
            isSilent = true
            pong = nil
            owesPing = profile.options.saysLastPing
        }
        if let nonce = pong {
            pong = nil
            buffer.add(header: UInt16(FrameType.pong.rawValue) << 8, length: 20)
            buffer.add(nonce)
            buffer.add(0)
            buffer.add([0, 0, 0, 0])
        }
        if owesPing {
            owesPing = false
            pings += 1
            buffer.add(header: UInt16(FrameType.ping.rawValue) << 8, length: 8)
            buffer.add(pings)
        }
        while !buffer.isFull {
            if offset > 0 {
                addChunk(&buffer, profile)
                continue
            }
            guard inFlight < window, load.isOn, load.budget > 0, leavingCode == nil else { break }
            if load.isOpenLoop {
                guard waiting > 0 else { break }
                waiting -= 1
                begin(&buffer, profile, due: load.instant(of: arrival), at: now)
                arrival += UInt64(profile.options.connections)
            } else {
                begin(&buffer, profile, due: now, at: now)
            }
            load.budget -= 1
        }
        closeIfAnswered(&counters, at: now)
        if let code = owesClose {
            owesClose = nil
            buffer.add(Close(code).frame)
        }
    }

    @inline(__always)
    mutating func begin(
        _ buffer: inout SendBuffer, _ profile: borrowing LoadProfile, due: Nanoseconds, at now: Nanoseconds
    ) {
        // Ids rise, and may skip some (3.6-1): skip those whose slot still holds a request.
        repeat { lastID &+= 1 } while slots[Int(lastID & profile.mask)].id != 0
        slots[Int(lastID & profile.mask)] = RequestSlot(id: lastID, due: due, sent: now)
        inFlight += 1
        let size = profile.payload.count
        if size <= maxFrame {
            buffer.add(header: UInt16(FrameType.request.rawValue) << 8, id: lastID, length: size)
            buffer.add(profile.payload)
        } else {
            addChunk(&buffer, profile)
        }
    }

    /// Appends the next chunk of the last request.
    mutating func addChunk(_ buffer: inout SendBuffer, _ profile: borrowing LoadProfile) {
        let size = profile.payload.count
        let length = min(maxFrame, size - offset)
        let isLast = offset + length == size
        let type = UInt16(FrameType.request.rawValue) << 8 | UInt16(isLast ? 0 : FrameFlags.more.rawValue)
        buffer.add(header: type, id: lastID, length: length)
        buffer.add(UnsafeRawBufferPointer(rebasing: profile.payload[offset..<(offset + length)]))
        offset = isLast ? 0 : offset + length
    }
}
