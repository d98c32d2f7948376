# Runs a command for which the system refuses calls, as a sandbox does: perl refuse.pl NUMBER[,NUMBER...] COMMAND...
# Each call of these numbers fails with EPERM, here and in all that the command starts (a seccomp filter).
use strict;
use warnings;
use Config;

my ($numbers, @command) = @ARGV;
my $prctl = $Config{archname} =~ /^x86_64/ ? 157 : 167;
my ($LOAD, $EQUAL, $RETURN) = (0x20, 0x15, 0x06);
my ($ALLOW, $EPERM) = (0x7fff0000, 0x00050001);

my @calls = split /,/, $numbers;
my $filter = pack 'SCCL', $LOAD, 0, 0, 0;
$filter .= pack 'SCCL', $EQUAL, @calls - $_, 0, $calls[$_] for 0 .. $#calls;
$filter .= pack('SCCL', $RETURN, 0, 0, $ALLOW) . pack('SCCL', $RETURN, 0, 0, $EPERM);
my $program = pack 'S x6 P', length($filter) / 8, $filter;

my ($NO_NEW_PRIVS, $SECCOMP, $MODE_FILTER) = (38, 22, 2);
syscall($prctl, $NO_NEW_PRIVS, 1, 0, 0, 0) == 0 or die "prctl: $!";
syscall($prctl, $SECCOMP, $MODE_FILTER, $program, 0, 0) == 0 or die "seccomp: $!";
exec { $command[0] } @command or die "$command[0]: $!";
