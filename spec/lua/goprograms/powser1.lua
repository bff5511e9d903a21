-- SPDX-License-Identifier: BSD-3-Clause
-- After test/chan/powser1.go of the Go distribution. Copyright 2009 The Go Authors. All rights reserved.
-- Use of this source code is governed by a BSD-style license: see the file LICENSE here.
-- Power series: see Squinting at Power Series by Doug McIlroy.
-- A power series is a channel, along which flow rational coefficients. A denominator of zero
-- signifies the end. Original code in Newsqueak by Doug McIlroy.
local vai = require("vai")
local go, chan, select = vai.go, vai.chan, vai.select

-- Integer gcd; needed for rational arithmetic.
local function gcd(u, v)
	if u < 0 then
		return gcd(-u, v)
	end
	if u == 0 then
		return v
	end
	return gcd(math.fmod(v, u), u)
end

local function quotient(a, b) -- rounds to zero
	return (a - math.fmod(a, b)) // b
end

-- Makes a rational from two integers and from one.
local function i2tor(u, v)
	local g = gcd(u, v)
	if v > 0 then
		return { num = quotient(u, g), den = quotient(v, g) }
	end
	return { num = quotient(-u, g), den = quotient(-v, g) }
end

local function itor(u)
	return i2tor(u, 1)
end

local zero, one, finis = itor(0), itor(1), i2tor(1, 0)

-- End mark test.
local function is_end(u)
	return u.den == 0
end

local function add(u, v)
	local g = gcd(u.den, v.den)
	return i2tor(u.num * quotient(v.den, g) + v.num * quotient(u.den, g), u.den * quotient(v.den, g))
end

local function mul(u, v)
	local g1, g2 = gcd(u.num, v.den), gcd(u.den, v.num)
	return {
		num = quotient(u.num, g1) * quotient(v.num, g2),
		den = quotient(u.den, g2) * quotient(v.den, g1),
	}
end

local function neg(u)
	return i2tor(-u.num, u.den)
end

local function sub(u, v)
	return add(u, neg(v))
end

local function inv(u)
	assert(u.num ~= 0, "zero divide in inv")
	return i2tor(u.den, u.num)
end

-- A demand channel: a request on req is answered on dat.
local function mkdch()
	return { req = chan(), dat = chan() }
end

local function mkdch2()
	return { mkdch(), mkdch() }
end

-- split reads a single demand channel and replicates its output onto two, which may be read at
-- different rates. A process is created at first demand for a rat and dies after the rat has been
-- sent to both outputs.
--
-- When multiple generations of split exist, the newest will service requests on one channel, which
-- is always renamed to be out[1]; the oldest will service requests on the other channel, out[2].
-- All generations but the newest hold queued data that has already been sent to out[1]. When data
-- has finally been sent to out[2], a signal on the release-wait channel tells the next newer
-- generation to begin servicing out[2].
local function dosplit(inp, out, wait)
	local both = false -- do not service both channels
	if select({ out[1].req, wait }) == 2 then
		both = true
		if select({ out[1].req, out[2].req }) == 2 then
			out[1], out[2] = out[2], out[1]
		end
	end
	inp.req:send(0)
	local release = chan()
	go(dosplit, inp, out, release)
	local dat = inp.dat:recv()
	out[1].dat:send(dat)
	if not both then
		wait:recv()
	end
	out[2].req:recv()
	out[2].dat:send(dat)
	release:send(0)
end

local function split(inp, out)
	local release = chan()
	go(dosplit, inp, out, release)
	release:send(0)
end

local function put(dat, out)
	out.req:recv()
	out.dat:send(dat)
end

local function get(inp)
	inp.req:send(0)
	return inp.dat:recv()
end

-- Gets one rat from each of 2 demand channels.
local function get2(in1, in2)
	local inp, out = { in1, in2 }, {}
	local cases = { { in1.req, 0 }, { in2.req, 0 }, false, false }
	for _ = 1, 4 do
		local i, it = select(cases)
		cases[i] = false
		if i <= 2 then
			cases[i + 2] = inp[i].dat
		else
			out[i - 2] = it
		end
	end
	return out[1], out[2]
end

local function copy(inp, out)
	while true do
		out.req:recv()
		out.dat:send(get(inp))
	end
end

-- Conventions: upper-case for power series, lower-case for rationals. Input variables: U, V, ...;
-- output variables: ..., Y, Z. Power-series constructors return channels on which power series
-- flow. They start an encapsulated generator that puts the terms of the series on the channel.

-- Makes a pair of power series identical to a given power series.
local function Split(U)
	local UU = mkdch2()
	go(split, U, UU)
	return UU
end

-- Adds two power series.
local function Add(U, V)
	local Z = mkdch()
	go(function()
		while true do
			Z.req:recv()
			local u, v = get2(U, V)
			if is_end(u) and is_end(v) then
				Z.dat:send(finis)
			elseif is_end(u) then
				Z.dat:send(v)
				copy(V, Z)
			elseif is_end(v) then
				Z.dat:send(u)
				copy(U, Z)
			else
				Z.dat:send(add(u, v))
			end
		end
	end)
	return Z
end

-- Multiplies a power series by a constant.
local function Cmul(c, U)
	local Z = mkdch()
	go(function()
		while true do
			Z.req:recv()
			local u = get(U)
			if is_end(u) then
				break
			end
			Z.dat:send(mul(c, u))
		end
		Z.dat:send(finis)
	end)
	return Z
end

local function Sub(U, V)
	return Add(U, Cmul(neg(one), V))
end

-- Multiplies a power series by the monomial x^n.
local function Monmul(U, n)
	local Z = mkdch()
	go(function()
		for _ = 1, n do
			put(zero, Z)
		end
		copy(U, Z)
	end)
	return Z
end

local function Xmul(U)
	return Monmul(U, 1)
end

local function Rep(c)
	local Z = mkdch()
	go(function()
		while true do
			put(c, Z)
		end
	end)
	return Z
end

-- Monomial c*x^n.
local function Mon(c, n)
	local Z = mkdch()
	go(function()
		if c.num ~= 0 then
			for _ = 1, n do
				put(zero, Z)
			end
			put(c, Z)
		end
		put(finis, Z)
	end)
	return Z
end

local function Shift(c, U)
	local Z = mkdch()
	go(function()
		put(c, Z)
		copy(U, Z)
	end)
	return Z
end

-- Multiplies. The algorithm is: let U = u + x*UU and V = v + x*VV,
-- then UV = u*v + x*(u*VV+v*UU) + x*x*UU*VV.
local function Mul(U, V)
	local Z = mkdch()
	go(function()
		Z.req:recv()
		local u, v = get2(U, V)
		if is_end(u) or is_end(v) then
			Z.dat:send(finis)
			return
		end
		Z.dat:send(mul(u, v))
		local UU, VV = Split(U), Split(V)
		local W = Add(Cmul(u, VV[1]), Cmul(v, UU[1]))
		Z.req:recv()
		Z.dat:send(get(W))
		copy(Add(W, Mul(UU[2], VV[2])), Z)
	end)
	return Z
end

-- Differentiates.
local function Diff(U)
	local Z = mkdch()
	go(function()
		Z.req:recv()
		local u = get(U)
		if not is_end(u) then
			local i = 1
			while true do
				u = get(U)
				if is_end(u) then
					break
				end
				Z.dat:send(mul(itor(i), u))
				Z.req:recv()
				i = i + 1
			end
		end
		Z.dat:send(finis)
	end)
	return Z
end

-- Integrates, with constant of integration.
local function Integ(c, U)
	local Z = mkdch()
	go(function()
		put(c, Z)
		local i = 1
		while true do
			Z.req:recv()
			local u = get(U)
			Z.dat:send(mul(i2tor(1, i), u))
			if is_end(u) then
				break
			end
			i = i + 1
		end
		Z.dat:send(finis)
	end)
	return Z
end

-- Binomial theorem (1+x)^c, for natural c.
local function Binom(c0)
	local Z = mkdch()
	go(function()
		local c, n, t = c0, 1, itor(1)
		while c.num ~= 0 do
			put(t, Z)
			t = mul(mul(t, c), i2tor(1, n))
			c = sub(c, one)
			n = n + 1
		end
		put(t, Z)
		put(finis, Z)
	end)
	return Z
end

-- Reciprocal of a power series: let U = u + x*UU and Z = z + x*ZZ, (u+x*UU)*(z+x*ZZ) = 1,
-- z = 1/u, u*ZZ + z*UU + x*UU*ZZ = 0, ZZ = -UU*(z+x*ZZ)/u.
local function Recip(U)
	local Z = mkdch()
	go(function()
		local ZZ = mkdch2()
		Z.req:recv()
		local z = inv(get(U))
		Z.dat:send(z)
		split(Mul(Cmul(neg(z), U), Shift(z, ZZ[1])), ZZ)
		copy(ZZ[2], Z)
	end)
	return Z
end

-- Exponential of a power series with constant term 0 (which is simply ignored):
-- Z = exp(U), DZ = Z*DU, integrate to get Z.
local function Exp(U)
	local ZZ = mkdch2()
	split(Integ(one, Mul(ZZ[1], Diff(U))), ZZ)
	return ZZ[2]
end

-- Substitutes V for x in U, where the leading term of V is zero: let U = u + x*UU and
-- V = v + x*VV, then S(U,V) = u + VV*S(V,UU).
local function Subst(U, V)
	local Z = mkdch()
	go(function()
		local VV = Split(V)
		Z.req:recv()
		local u = get(U)
		Z.dat:send(u)
		if not is_end(u) then
			if is_end(get(VV[1])) then
				put(finis, Z)
			else
				copy(Mul(VV[1], Subst(U, VV[2])), Z)
			end
		end
	end)
	return Z
end

-- Monomial substitution: U(c x^n). Each Ui is multiplied by c^i and followed by n-1 zeros.
local function MonSubst(U, c0, n)
	local Z = mkdch()
	go(function()
		local c = one
		while true do
			Z.req:recv()
			local u = get(U)
			Z.dat:send(mul(u, c))
			c = mul(c, c0)
			if is_end(u) then
				Z.dat:send(finis)
				break
			end
			for _ = 1, n - 1 do
				Z.req:recv()
				Z.dat:send(zero)
			end
		end
	end)
	return Z
end

local Ones, Twos = Rep(one), Rep(itor(2))

local function show(u)
	return u.num .. "/" .. u.den
end

local function check(U, c, count, str)
	for _ = 1, count do
		local r = get(U)
		assert(r.num == c.num and r.den == c.den, str .. ": got " .. show(r) .. ", should get " .. show(c))
	end
end

local N = 10
local function checka(U, a, str)
	for i = 1, N do
		check(U, a[i], 1, str)
	end
end

check(Ones, one, 5, "Ones")
check(Add(Ones, Ones), itor(2), 5, "Add Ones Ones")
check(Add(Ones, Twos), itor(3), 5, "Add Ones Twos")
local a = {}
for i = 1, N do
	a[i] = itor(i)
end
checka(Diff(Ones), a, "Diff") -- 1 2 3 4 5
a[1] = zero -- integration constant
for i = 2, N do
	a[i] = i2tor(1, i - 1)
end
checka(Integ(zero, Ones), a, "Integ") -- 0 1 1/2 1/3 1/4 1/5
check(Cmul(neg(one), Twos), itor(-2), 10, "CMul") -- -2 -2 -2 -2 -2
check(Sub(Ones, Twos), itor(-1), 5, "Sub Ones Twos") -- -1 -1 -1 -1 -1
for i = 1, N do
	a[i] = itor(i)
end
checka(Mul(Ones, Ones), a, "Mul") -- 1 2 3 4 5
a = {
	itor(1), itor(1), i2tor(3, 2), i2tor(13, 6), i2tor(73, 24), i2tor(167, 40), i2tor(4051, 720), i2tor(37633, 5040),
	i2tor(43817, 4480), i2tor(4596553, 362880),
}
checka(Exp(Ones), a, "Exp") -- 1 1 3/2 13/6 73/24
local c = 1
for i = 1, N do
	if i % 2 == 1 then
		a[i] = zero
	else
		a[i] = i2tor(c, i - 1)
		c = -c
	end
end
checka(Integ(zero, MonSubst(Ones, neg(one), 2)), a, "ATan") -- 0 1 0 -1/3 0 1/5

-- Beyond the original's checks: the other constructors.
local four = Binom(itor(4))
for _, n in ipairs({ 1, 4, 6, 4, 1 }) do
	check(four, itor(n), 1, "Binom")
end
check(four, finis, 1, "Binom's end")
check(Recip(Shift(one, Rep(neg(one)))), i2tor(1, 1), 2, "Recip") -- 1/(1-x-x^2-...) = 1 1 2 4 8 ...
local X2 = Xmul(Mon(one, 1))
check(X2, zero, 2, "Xmul")
check(X2, one, 1, "Xmul")
check(X2, finis, 1, "Xmul's end")
check(Subst(Ones, Monmul(Ones, 1)), one, 2, "Subst") -- 1/(1-x/(1-x)) = 1 1 2 4 8 ...
