/* Holds a pod's namespaces open and reaps what its containers leave behind. */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

static void Leave(int signal) {
  (void)signal;
  _exit(0);
}

static void Reap(int signal) {
  (void)signal;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

int main(void) {
  struct sigaction leave = {.sa_handler = Leave};
  struct sigaction reap = {.sa_handler = Reap, .sa_flags = SA_NOCLDSTOP};
  sigaction(SIGINT, &leave, NULL);
  sigaction(SIGTERM, &leave, NULL);
  sigaction(SIGCHLD, &reap, NULL);
  for (;;) pause();
}
