/** The dialogs that belong to no view; at most one is open. */
class Dialogs {
  open = $state<"switcher" | "shortcuts" | "group" | "logout" | undefined>(undefined);
}

export const dialogs = new Dialogs();
